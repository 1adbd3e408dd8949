"""What the runtime may have left behind while it made the container: descriptors, a directory, an executable."""

import os

from attempt import attempt, opening, report, writing

held = {
    os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
    for fd in os.listdir("/proc/self/fd")
    if os.path.exists(f"/proc/self/fd/{fd}")
}
report("descriptors", ", ".join(sorted(one for one in held if one != "/proc/self/fd" and "/fd" not in one)))
report("directory", os.getcwd())
for number in range(3, 32):
    try:
        os.stat(f"/proc/self/fd/{number}/../../../etc/hostname")
        report("a way out", f"/proc/self/fd/{number}")
    except OSError:
        continue
attempt("the interpreter's file", writing, "/proc/self/exe", "x")
attempt("the agent's file", writing, "/opt/petri/agent", "x")
attempt("the runtime's file", opening, "/proc/1/exe", os.O_RDWR)
