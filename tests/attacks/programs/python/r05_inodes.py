import itertools
import os

from attempt import fact, until_it_fails

for place in ("/workspace", "/tmp", "/dev/shm"):
    names = (f"{place}/{number}" for number in itertools.count())
    had = until_it_fails(f"files in {place}", lambda names=names: os.close(os.open(next(names), os.O_CREAT)))
    fact(f"files in {place}", len(had))
