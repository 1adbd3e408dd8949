import os
import shutil
import subprocess
from pathlib import Path

from attempt import attempt, report, syscall


def everything():
    for directory, _, names in os.walk("/"):
        if not directory.startswith(("/proc", "/sys")):
            yield from (os.path.join(directory, name) for name in names)


files = [path for path in everything() if os.path.isfile(path) and not os.path.islink(path)]
report("setuid and setgid files", str(sum(bool(os.lstat(path).st_mode & 0o6000) for path in files)))
report("files with capabilities", str(sum("security.capability" in os.listxattr(path) for path in files)))

shutil.copy("/usr/bin/id", "/workspace/id")
attempt("set the bit", os.chmod, "/workspace/id", 0o6755)
uid = subprocess.run(["/workspace/id", "-u"], capture_output=True, text=True).stdout.strip()
report("what it gains", "nothing" if uid == str(os.getuid()) else uid)
attempt("give it to root", os.chown, "/workspace/id", 0, 0)
attempt(
    "give it capabilities",
    os.setxattr,
    "/workspace/id",
    "security.capability",
    bytes.fromhex("0100000200000020" + "00" * 12),
)
for name, arguments in {
    "setuid": (0,),
    "setgid": (0,),
    "setresuid": (0, 0, 0),
    "setgroups": (0, 0),
    "capset": (0, 0),
}.items():
    attempt(name, syscall, name, *arguments)
status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
report("capabilities", str(sum(int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))))
report("no new privileges", status["NoNewPrivs"])
