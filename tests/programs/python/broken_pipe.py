import os
import subprocess
import sys

reader = subprocess.Popen(["head", "-c", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
try:
    for _ in range(100_000):
        reader.stdin.write(b"x" * 1000)
        reader.stdin.flush()
except BrokenPipeError as error:
    print(error, os.strerror(error.errno))
reader.wait()
sys.exit(1)
