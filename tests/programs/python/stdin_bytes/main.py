import sys

received = sys.stdin.buffer.read()
print(len(received), sum(received))
sys.stdout.flush()
sys.stdout.buffer.write(received[::-1])
