import os
import sys

print("flushed", flush=True)
print("lost")
sys.stderr.write("unbuffered enough\n")
os._exit(7)
