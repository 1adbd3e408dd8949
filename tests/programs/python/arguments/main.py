import sys

print(sys.argv)
print(sys.orig_argv)
print(sys.argv[1].encode("utf-8", "surrogateescape"))
