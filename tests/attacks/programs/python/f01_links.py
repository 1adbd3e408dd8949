import os
import socket
from pathlib import Path

from attempt import report

for name, target in {
    "to-etc": "/etc", "to-passwd": "/etc/passwd", "to-tmp": "/tmp", "to-root": "/proc/self/root", "to-up": "..",
    "to-agent": "/proc/1/root", "to-fd": "/proc/self/fd", "to-stdout": "/proc/1/fd/1", "to-cwd": "/proc/self/cwd",
    "to-itself": "to-itself", "to-dev": "/dev/stdout",
}.items():  # fmt: skip
    os.symlink(target, f"/workspace/{name}")
os.mkfifo("/workspace/fifo")
socket.socket(socket.AF_UNIX).bind("/workspace/socket")
Path("/tmp/victim").write_text("as it was")
os.link("/tmp/victim", "/tmp/hard-link")
os.mkdir("/workspace/closed", 0)
report("lay the traps", "ok")
