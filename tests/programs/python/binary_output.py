import sys

sys.stdout.buffer.write(bytes(range(256)))
sys.stderr.buffer.write(bytes(reversed(range(256))))
