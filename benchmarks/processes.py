"""What other processes of this machine spend: processor time and memory, from the kernel."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
#: Low bits of a clock's number that make it "processor time of a whole process": clock_getcpuclockid(3).
_PROCESS_CPU_CLOCK = 2


def cpu_seconds(pid: int) -> float:
    """Of all its threads, those that have ended included, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CPU_CLOCK)


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB. `pss`: pages that several processes share count for each by its share."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    found = {}
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        found[name] = int(value) / 1024
    return Memory(found["Rss:"], found["Pss:"])


def parent(pid: int) -> int:
    return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    """By pid; of all its threads."""
    found: list[int] = []
    for task in (_PROC / str(pid) / "task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return sorted(found)


def command_line(pid: int) -> list[str]:
    return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def listening(port: int) -> int:
    """Pid of who listens on this TCP port of this machine. Raises LookupError where nobody does."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()) in sockets for fd in (process / "fd").iterdir()):
                return int(process.name)
    raise LookupError(f"no process of this machine listens on port {port}, or it is not ours to look at")
