import os
import sys

print(os.getcwd())
print(__file__, __name__, __spec__, type(__loader__).__name__, __loader__.path, __builtins__)
print(sys.path)
print(sys.argv[0], sys.executable, sys.prefix, sys.flags, sys.warnoptions, sys._xoptions)
print(sys.version)
print(sorted(globals()))
print(os.listdir("."))
