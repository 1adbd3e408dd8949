"""See whether a frozen container's first process was killed meanwhile; and kill it."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_SIGKILL = 1 << (signal.SIGKILL - 1)
#: Where proc(5) counts from 1: state is the 3rd field of stat, the pending signals are the 31st. After the program's
#: name, which may hold anything, they are the 1st and the 29th.
_STATE, _PENDING = 0, 28


class FirstProcess:
    """Keeps the process's file open: of this very process, whoever has its number later.

    On cgroup v1 a killed process that is frozen stays, with its sockets, until it is thawed; nothing else tells that it
    will be gone then. The kernel's killer of last resort may have chosen it, or a person.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        """Raises OSError when there is no such process."""
        self._pid = pid
        self._fd = os.open(proc / str(pid) / "stat", os.O_RDONLY | os.O_CLOEXEC)

    def is_alive(self) -> bool:
        """False when it has ended, or will as soon as it can. About 2 µs."""
        try:
            fields = os.pread(self._fd, 4096, 0).rpartition(b") ")[2].split()
        except ProcessLookupError:
            return False
        return fields[_STATE] not in (b"Z", b"X") and not int(fields[_PENDING]) & _SIGKILL

    def kill(self) -> None:
        """And with it, as the first of its process namespace, every process in the container. Gone already is fine."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(self._pid)
            try:
                if self.is_alive():  # still, so the number that was opened is its own and nobody else's
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
