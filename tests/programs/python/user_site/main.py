import sys

print([path for path in sys.path if ".local" in path])
import mine

print(mine.NAME)
