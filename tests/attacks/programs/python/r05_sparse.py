import os

from attempt import attempt, fact

for place in ("/workspace", "/tmp", "/dev/shm"):
    file = os.open(f"{place}/sparse", os.O_CREAT | os.O_RDWR)
    attempt(f"a file of 1 EiB in {place}", os.ftruncate, file, 1 << 60)
    attempt(f"room for it in {place}", os.posix_fallocate, file, 0, 1 << 40)
fact(
    "KiB that they take", sum(os.stat(f"{place}/sparse").st_blocks for place in ("/workspace", "/tmp", "/dev/shm")) // 2
)
