import shapes
from shapes import area
from shapes.round import Circle

import data

print(area(Circle(2)), data.VALUES, shapes.__path__, data.__file__)
with open("input.txt", encoding="utf-8") as file:
    print(file.read())
print(shapes.round.__name__, shapes.round.__package__, shapes.__spec__)
