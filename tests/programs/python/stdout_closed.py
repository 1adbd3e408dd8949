import os

print("to be lost")
os.close(1)
