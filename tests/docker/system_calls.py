"""Count the system calls of a process, by the kernel's own tracepoint."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
_ATTR_BYTES = 128
_EVENT = Path("events/raw_syscalls/sys_enter/id")


@contextlib.contextmanager
def _tracing(work: Path) -> Iterator[Path]:
    """Where the kernel lists its tracepoints; mounted for the time where nobody has."""
    if (there := Path("/sys/kernel/tracing")).joinpath(_EVENT).exists():
        yield there
        return
    subprocess.run(["mount", "-t", "tracefs", "none", work], check=True)
    try:
        yield work
    finally:
        subprocess.run(["umount", work], check=True)


class SystemCalls:
    """Of one thread, from when this is made: a process's first thread, which runs its event loop. Needs root."""

    def __init__(self, pid: int, work: Path) -> None:
        with _tracing(work) as directory:
            event = int(directory.joinpath(_EVENT).read_text())
        attr = struct.pack("=IIQ", _TRACEPOINT, _ATTR_BYTES, event).ljust(_ATTR_BYTES, b"\0")
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.syscall(_PERF_EVENT_OPEN[platform.machine()], attr, pid, -1, -1, 0)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def count(self) -> int:
        return int(struct.unpack("=Q", os.read(self._fd, 8))[0])

    def close(self) -> None:
        os.close(self._fd)
