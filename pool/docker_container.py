"""A container of Docker's that was started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pool.cgroup import Cgroup
from pool.engine import EngineError, Usage
from pool.first_process import FirstProcess
from pool.freezer import CgroupFreezer
from runners.channel import Transport

if TYPE_CHECKING:
    from pool.docker_engine import DockerEngine


class DockerContainer:
    """One started container, its stream and its cgroup."""

    transport = Transport.DOCKER

    def __init__(
        self,
        engine: DockerEngine,
        container_id: str,
        sock: socket.socket,
        freezer: CgroupFreezer | None,
        cgroup: Cgroup,
        process: FirstProcess | None,
        *,
        background: bool,
    ) -> None:
        self._engine = engine
        self._id = container_id
        self._socket = sock
        self._cgroup = cgroup
        self._process = process
        self._background = background
        self.freezer = freezer
        self.paused = False  # by the engine, or on the way there

    def __repr__(self) -> str:
        return f"<DockerContainer {self._id[:12]}>"

    @property
    def id(self) -> str:
        return self._id

    @property
    def socket(self) -> socket.socket:
        return self._socket

    def to_foreground(self) -> None:
        if not self._background:
            return
        try:
            self._cgroup.weigh_as_any_other()
        except OSError as error:
            raise EngineError("cpu_weight", f"raising the share in the processors: {error.strerror}") from error
        self._background = False

    async def freeze(self) -> None:
        if self.freezer is not None:
            await self.freezer.freeze()
        else:
            self.paused = True
            await self._engine.pause(self._id)

    async def thaw(self) -> None:
        if self.freezer is not None:
            self.freezer.thaw()
        else:
            await self._engine.unpause(self._id)
            self.paused = False

    def is_alive(self) -> bool:
        return self._process is None or self._process.is_alive()

    def kill(self) -> None:
        """Every process in it, without the engine; where this one cannot see them, nothing happens."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Its descriptors, once the container is gone."""
        for held in (self.freezer, self._process, self._socket):
            if held is not None:
                held.close()

    async def usage(self) -> Usage:
        if usage := self._cgroup.usage():
            return usage
        # Counters that were there go when the last process does: wait for the engine to have noticed, too.
        return await self._engine.usage(self._id, ended=self._cgroup.counts_memory)
