import os
import sys
import sysconfig

from attempt import attempt, syscall

for place in ("/", "/usr", "/etc", "/opt/petri", "/var/tmp", "/run", "/dev", "/root"):
    attempt(f"write in {place}", os.open, f"{place}/x", os.O_CREAT | os.O_WRONLY)
attempt("sync", syscall, "sync")
attempt("syncfs", syscall, "syncfs", os.open("/", os.O_RDONLY))
attempt("change the interpreter's time", os.utime, sys.executable)
# Have what is in the host's page cache thrown out and read again.
library = sysconfig.get_path("stdlib")
for name in sorted(os.listdir(library))[:200]:
    if os.path.isfile(f"{library}/{name}"):
        file = os.open(f"{library}/{name}", os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
attempt("fill the work directory", lambda: open("/workspace/x", "wb").write(bytes(32 << 20)))
