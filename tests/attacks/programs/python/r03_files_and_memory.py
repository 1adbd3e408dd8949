import contextlib

held = []
for place in ("/workspace", "/tmp", "/dev/shm"):
    file = open(f"{place}/fill", "wb", buffering=0)
    with contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
while True:
    held.append(b"x" * (1 << 20))
