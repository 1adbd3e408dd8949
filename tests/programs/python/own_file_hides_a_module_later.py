import json
import sys

print(json.dumps([1]))
with open("csv.py", "w") as file:
    file.write("print('my own csv')\n")
import csv

print(csv.__file__)
import random

sys.path.insert(0, "lib")
print(random.__file__)
