import os
from pathlib import Path

from attempt import fact, until_it_fails

for place in ("/workspace", "/tmp", "/dev/shm"):
    file = os.open(f"{place}/fill", os.O_CREAT | os.O_WRONLY)
    had = until_it_fails(f"fill {place}", lambda file=file: os.write(file, bytes(1 << 16)))
    fact(f"MiB in {place}", sum(had) >> 20)
    os.close(file)
    Path(f"{place}/fill").unlink()
