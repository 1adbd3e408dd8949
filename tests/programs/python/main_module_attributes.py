x: int = 1
print(sorted(globals()), __annotations__, __doc__, __package__)
import __main__

print(__main__.x, __main__)
