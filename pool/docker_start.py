"""Start a container from within a thread, so that nothing is left of it whoever gives up when."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from pool.cgroup import UNSEEN, Cgroup
from pool.container_calls import state_of
from pool.docker_container import DockerContainer
from pool.engine import EngineError
from pool.engine_api import doing
from pool.first_process import FirstProcess
from pool.freezer import CgroupFreezer

if TYPE_CHECKING:
    from pool.docker_engine import DockerEngine

log = logging.getLogger(__name__)

#: Deadline of one call that makes something. A start takes 0.2 s, some seconds under load.
MAKE_TIMEOUT_S = 30


class Start:
    """One attempt to start a container, in a thread of its own, that its caller may abandon at any time.

    Whoever comes second cleans up: the thread, when it finds itself abandoned or has failed; the caller, when the
    thread had already delivered. `_lock` decides who that is, and guards the three flags.
    """

    def __init__(
        self, engine: DockerEngine, name: str, image: str, configure: Callable[[str], dict[str, object]]
    ) -> None:
        self._engine = engine
        # A name, since a create whose answer is lost may have made a container all the same.
        self._name = name
        self._image = image
        self._configure = configure
        self._socket: socket.socket | None = None
        self._freezer: CgroupFreezer | None = None
        self._process: FirstProcess | None = None
        self._token = anyio.lowlevel.current_token()
        self._ended = anyio.Event()
        self._lock = threading.Lock()
        self._begun = self._delivered = self._abandoned = False

    def run(self) -> DockerContainer:
        """In the thread. Raises `EngineError`, and then nothing is left."""
        with self._lock:
            self._begun = True
        try:
            try:
                container = self._create_attach_start()
                with self._lock:
                    self._heed_abandonment()
                    self._delivered = True
                return container
            except BaseException:
                self._undo()
                raise
        finally:
            with contextlib.suppress(anyio.RunFinishedError):  # the loop may be gone when a hung engine answers
                anyio.from_thread.run_sync(self._ended.set, token=self._token)

    async def abandon(self) -> None:
        """On the loop: the caller has left. Returns when nothing is left over.

        Cancelled before that, the thread still sees to it.
        """
        with self._lock:
            self._abandoned = True
            begun, delivered = self._begun, self._delivered
        if delivered:
            await anyio.to_thread.run_sync(self._undo, abandon_on_cancel=True)
        elif begun:
            await self._ended.wait()

    def _create_attach_start(self) -> DockerContainer:
        engine = self._engine
        with doing("starting a container"), engine.api.connection(MAKE_TIMEOUT_S) as connection:
            config = self._configure(engine.pinned(self._image, connection))
            self._heed_abandonment()
            created = connection.post("containers", "create", body=config, name=self._name)
            container_id: str = created["Id"]
            self._heed_abandonment()
            # Attached before the start, or the first frame could be lost.
            with engine.api.connection(MAKE_TIMEOUT_S) as attached:
                self._socket = attached.hijack("containers", container_id, "attach", stdin="1", stdout="1", stream="1")
            connection.post("containers", container_id, "start")
            pid: int = state_of(connection, container_id)["Pid"]
        try:
            cgroup = Cgroup.of_container(container_id, pid, engine.hierarchy)
            if engine.facts().freezes_cgroups:
                self._freezer = CgroupFreezer.of(cgroup)
                self._process = FirstProcess(pid)
        except OSError as error:
            if engine.facts().freezes_cgroups:
                raise EngineError("died", f"the container's cgroup is not to be had, pid {pid}: {error}") from error
            cgroup = UNSEEN  # the engine is on another machine, or its processes are not ours to look at
        return DockerContainer(engine, container_id, self._socket, self._freezer, cgroup, self._process)

    def _heed_abandonment(self) -> None:
        if self._abandoned:
            raise EngineError("abandoned", f"{self._name}: nobody waits for it any more")

    def _undo(self) -> None:
        for held in (self._socket, self._freezer, self._process):
            if held is not None:
                held.close()
        try:
            self._engine.remove(self._name)
        except EngineError as error:
            log.error("%s may be left over until the next start's sweep: %s", self._name, error)
