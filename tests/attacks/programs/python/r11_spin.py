import os

for _ in range(3):
    if not os.fork():
        break
while True:
    pass
