"""Let others know that a process lives, and let there be one of it: a pool, a `petri up`, who has a block of user ids.

The process keeps a file locked (flock) as long as it lives, however it dies. Whoever wants to know tries the lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIES = 5
_TRY_AGAIN_S = 0.04


class Held(Exception):
    """Another process has it; the message names it."""


@contextmanager
def held(path: Path, note: str = "") -> Iterator[None]:
    """Keep the lock until the end of the block; raises `Held` when another process has it.

    `note`: a line for whoever looks, such as where this process serves.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)  # whatever the umask: the gateway, no longer root, goes through here to the socket
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _taken(fd):
            raise Held(holder(path))
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n{note}\n".encode(), 0)
        # The file stays: removing it would let two processes lock two files of the same name.
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    """Try for a moment: whoever only looks (`is_held`) has the lock for some microseconds, too."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_TRY_AGAIN_S)
    return False


def is_held(path: Path) -> bool:
    """True while some process keeps the lock at `path`; a file that is not there is not held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # cannot look: not ours to judge
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def owner(path: Path) -> int | None:
    """Pid of the process that took the lock last. Meaningful only while `is_held`."""
    pid, _ = _read(path)
    return int(pid) if pid.isdecimal() else None


def note(path: Path) -> str | None:
    """What the process that took the lock last left for others. Meaningful only while `is_held`."""
    _, said = _read(path)
    return said or None


def holder(path: Path) -> str:
    """Who has the lock, in words."""
    said = note(path)
    return f"{path.stem} is running already (pid {owner(path) or 'unknown'}{f', {said}' if said else ''})"


def _read(path: Path) -> tuple[str, str]:
    try:
        pid, _, said = path.read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return "", ""
    return pid, said.strip()
