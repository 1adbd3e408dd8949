"""Stop and resume everything in a container by writing one word to its cgroup.

The engine's own view stays "running": it takes no part. (Its pause and unpause cost 8 ms each; the word costs 0.05 ms.)
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from pool.cgroup import Cgroup
from pool.engine import EngineError

#: How long the kernel may take to stop every process. It takes well under a millisecond unless one sits in an
#: uninterruptible wait; a container that does not freeze must not be pooled.
_FREEZE_TIMEOUT_S = 2.0
#: Between looks. The first look nearly always finds it frozen.
_LOOK_AGAIN_S = 0.001


class CgroupFreezer:
    """The freezer of one container. Keeps its file open, so that a thaw is one system call."""

    def __init__(self, control: Path, freeze: bytes, thaw: bytes, state: Path, frozen: str) -> None:
        self._freeze, self._thaw = freeze, thaw
        self._state, self._frozen = state, frozen
        self._fd = os.open(control, os.O_WRONLY | os.O_CLOEXEC)

    @classmethod
    def of(cls, cgroup: Cgroup) -> CgroupFreezer:
        """Raises OSError where the cgroup cannot be seen or written."""
        if cgroup.freezer is not None:
            control = cgroup.freezer / "freezer.state"
            return cls(control, b"FROZEN", b"THAWED", control, "FROZEN")
        if cgroup.unified is not None:
            return cls(cgroup.unified / "cgroup.freeze", b"1", b"0", cgroup.unified / "cgroup.events", "frozen 1")
        raise FileNotFoundError("no cgroup that can freeze")

    async def freeze(self) -> None:
        """Returns when every process has stopped."""
        try:
            with anyio.fail_after(_FREEZE_TIMEOUT_S):
                os.pwrite(self._fd, self._freeze, 0)
                while self._frozen not in self._state.read_text().splitlines():
                    # On v1 a process that forks while the freezer passes can leave it FREEZING: writing again helps.
                    await anyio.sleep(_LOOK_AGAIN_S)
                    os.pwrite(self._fd, self._freeze, 0)
        except TimeoutError as error:
            raise EngineError("freeze", f"not frozen within {_FREEZE_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise EngineError("freeze", f"freezing: {error.strerror}") from error

    def thaw(self) -> None:
        """One write; the processes go on by themselves."""
        try:
            os.pwrite(self._fd, self._thaw, 0)
        except OSError as error:
            raise EngineError("thaw", f"thawing: {error.strerror}") from error

    def close(self) -> None:
        """Again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
