"""What a program may still learn: asked for here so that docs/security.md names it."""

import ctypes
import os
from pathlib import Path

from attempt import report


def tells(what, words):
    report(what, "ok" if words.strip() else "nothing")


for path in ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version"):
    tells(f"/proc/{path}", Path("/proc", path).read_text())
tells("the image's layers, in its mounts", "".join(line for line in open("/proc/self/mountinfo") if "lowerdir" in line))
tells("the processors", " ".join(os.listdir("/sys/devices/system/cpu")))
system = (ctypes.c_long * 64)()
ctypes.CDLL(None).sysinfo(system)
report("how many processes the host has, by sysinfo", "ok" if (system[10] & 0xFFFF) > 20 else "nothing")
