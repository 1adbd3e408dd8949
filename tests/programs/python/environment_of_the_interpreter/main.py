import sys
import os

print(hash("petri"), sys.flags.hash_randomization, sys.dont_write_bytecode, os.environ["PYTHONHASHSEED"])
import lib_of_mine

print(lib_of_mine.__file__, sys.path[:2])
print(sys.orig_argv, sys.argv)
