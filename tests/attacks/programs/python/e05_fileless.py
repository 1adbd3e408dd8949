import mmap
import os
import shutil

from attempt import attempt, in_a_child


def run_from(place):
    shutil.copy("/bin/true", f"{place}/program")
    in_a_child(os.execv, f"{place}/program", ["program"])


def load_from(place):
    file = os.open(f"{place}/program", os.O_RDONLY)
    mmap.mmap(file, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)


attempt("a file without a name", os.memfd_create, "x")
for place in ("/dev/shm", "/dev/mqueue", "/dev"):
    attempt(f"a program in {place}", run_from, place)
attempt("code from /dev/shm", load_from, "/dev/shm")
attempt("a program in the work directory, as everybody may", run_from, "/workspace")
