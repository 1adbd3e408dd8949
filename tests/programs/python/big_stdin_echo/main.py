import sys

text = sys.stdin.read()
print(len(text))
sys.stdout.write(text.upper())
