import os
import resource
import struct
from pathlib import Path

from attempt import Ended, attempt, fact, in_a_child, report, syscall

CORE = resource.RLIMIT_CORE


report("core limit", "{} to {}".format(*resource.getrlimit(CORE)))
attempt("lower it", syscall, "prlimit64", 0, CORE, struct.pack("QQ", 0, 1), 0)
attempt("raise it", syscall, "prlimit64", 0, CORE, struct.pack("QQ", 1 << 40, 1 << 40), 0)
for _ in range(20):
    try:
        in_a_child(os.abort)
    except Ended as ended:
        last = str(ended)
report("crash twenty times", last)
fact("core files", len([*Path("/workspace").glob("*core*"), *Path("/tmp").glob("*core*")]))
