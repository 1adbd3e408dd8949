import main

print("other sees", main.__name__, main.__file__)
