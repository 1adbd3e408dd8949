import sys

print(sys.stdin.encoding, sys.stdin.errors)
print(ascii(sys.stdin.read()))
