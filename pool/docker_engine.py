"""The engine that users have: Docker, in bounded threads.

Off the request's path: a lease calls nothing in here but `DockerContainer.thaw`.

A caller may leave a call at any time; its thread goes on until the engine answers or the call's deadline ends it, and
cleans up after itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from pool import pool_lock
from pool.cgroup import UNSEEN, Cgroup, Hierarchy
from pool.container_config import LABEL_BOOT, LABEL_HOST, LABEL_LOCK, LABEL_POOL, LABEL_SANDBOX, Owner, container_config
from pool.engine import EngineError, EngineFacts, Usage
from pool.engine_api import Address, Conflict, Connection, EngineApi, NotFound, doing
from pool.first_process import FirstProcess
from pool.freezer import CgroupFreezer
from pool.settings import PoolSettings
from pool.template import Template
from runners.channel import Transport

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Deadline of one call that makes something. A start takes 0.2 s, some seconds under load.
_MAKE_TIMEOUT_S = 30
#: Deadline of one call that removes something. The engine itself gives up a kill after about 12 s.
_REMOVE_TIMEOUT_S = 20
#: How long the engine may take to notice that a container has ended, and between looks. It takes some 20 ms.
_NOTICES_S = 2.0
_LOOK_AGAIN_S = 0.02
#: How long a caller that is cancelled waits for its half-made container to be gone, before the thread is left alone.
_UNDO_S = 5.0
#: Threads for calls that make, and for calls that remove: separate, so that a stuck removal cannot stop the refill.
_THREADS = 16


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
    ) -> None:
        self._engine = engine
        self._id = container_id
        self._socket = sock
        self._cgroup = cgroup
        self._process = process
        self.freezer = freezer

    def __repr__(self) -> str:
        return f"<DockerContainer {self._id[:12]}>"

    @property
    def id(self) -> str:
        return self._id

    @property
    def socket(self) -> socket.socket:
        return self._socket

    async def freeze(self) -> None:
        if self.freezer is not None:
            await self.freezer.freeze()
        else:
            await self._engine.pause(self._id)

    async def thaw(self) -> None:
        if self.freezer is not None:
            self.freezer.thaw()
        else:
            await self._engine.unpause(self._id)

    def is_alive(self) -> bool:
        return self._process is None or self._process.is_alive()

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


class DockerEngine:
    """Boots, freezes, thaws and destroys containers of one pool. `connect` first."""

    def __init__(self, settings: PoolSettings, lock: Path, api: EngineApi, version: str) -> None:
        self.api = api
        self._settings = settings
        self._owner = Owner(settings.name, boot=uuid.uuid4().hex[:12], lock=str(lock), host=machine_id())
        self._making = anyio.CapacityLimiter(_THREADS)
        self._removing = anyio.CapacityLimiter(_THREADS)
        self._hierarchy = Hierarchy.of_this_host()
        freezer, why = self._choose_freezer()
        self._facts = EngineFacts(f"docker {version}", freezer, why)
        self._images: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<DockerEngine {self._facts.engine}, boot {self._owner.boot}>"

    @classmethod
    async def connect(cls, settings: PoolSettings, lock: Path) -> DockerEngine:
        """Find the engine and decide how to freeze; raises `EngineError` when it does not answer.

        `lock`: the file that this pool's process keeps locked.
        """

        def connect() -> DockerEngine:
            with doing("connecting"):
                api, version = EngineApi.connect(Address.of(settings.docker_host), _MAKE_TIMEOUT_S)
            return cls(settings, lock, api, version.get("Version", "?"))

        return await anyio.to_thread.run_sync(connect, abandon_on_cancel=True)

    def facts(self) -> EngineFacts:
        return self._facts

    def image(self, template: Template) -> str:
        return self._images.get(template.image, template.image)

    async def start(self, sandbox_id: str, template: Template, slot: int) -> DockerContainer:
        uid = self._settings.uid_base + slot

        attempt = _Start(
            self,
            f"petri-{sandbox_id}",
            template.image,
            lambda image: container_config(sandbox_id, template, image, uid, self._owner),
        )
        try:
            return await anyio.to_thread.run_sync(attempt.run, limiter=self._making, abandon_on_cancel=True)
        except BaseException:
            with anyio.move_on_after(_UNDO_S, shield=True):
                await attempt.abandon()
            raise

    async def destroy(self, container: Any) -> None:
        assert isinstance(container, DockerContainer)
        if container.freezer is not None:
            # On cgroup v1 a frozen process takes no SIGKILL before it is thawed. A cgroup that is gone needs no thaw.
            with contextlib.suppress(EngineError):
                container.freezer.thaw()
        await anyio.to_thread.run_sync(
            lambda: self.remove(container.id), limiter=self._removing, abandon_on_cancel=True
        )
        container.close()

    async def sweep(self) -> int:
        return await anyio.to_thread.run_sync(self._sweep, limiter=self._removing, abandon_on_cancel=True)

    async def ours(self) -> set[str]:
        labels = [f"{LABEL_POOL}={self._owner.pool}", f"{LABEL_HOST}={self._owner.host}"]

        def find(connection: Connection) -> set[str]:
            return {one["Labels"].get(LABEL_SANDBOX, one["Id"]) for one in _labelled(connection, *labels)}

        return await self._call("listing containers", find)

    async def pause(self, container_id: str) -> None:
        await self._call("pausing", lambda connection: connection.post("containers", container_id, "pause"))

    async def unpause(self, container_id: str) -> None:
        await self._call("unpausing", lambda connection: connection.post("containers", container_id, "unpause"))

    async def usage(self, container_id: str, *, ended: bool) -> Usage:
        """What the engine itself says, for containers whose cgroup this process cannot see, or not any more.

        `ended`: the container is known to have ended, and the engine may be a moment behind.
        """
        with anyio.move_on_after(_NOTICES_S):
            while True:
                state = await self._call("inspecting", lambda connection: _state(connection, container_id))
                if not (ended and state["Running"]):
                    return Usage(oom_kills=int(state["OOMKilled"]))
                await anyio.sleep(_LOOK_AGAIN_S)
        raise EngineError("inspecting", f"container {container_id[:12]} ended, and the engine takes it for running")

    async def _call(self, what: str, call: Callable[[Connection], _T]) -> _T:
        def in_thread() -> _T:
            with doing(what), self.api.connection(_MAKE_TIMEOUT_S) as connection:
                return call(connection)

        return await anyio.to_thread.run_sync(in_thread, limiter=self._making, abandon_on_cancel=True)

    # -- in threads -------------------------------------------------------------------------------------------------

    def remove(self, container: str) -> None:
        """Kill and remove, by id or name. Gone already, or on its way out already, is what was wanted."""
        with doing("removing a container"), self.api.connection(_REMOVE_TIMEOUT_S) as connection:
            _remove(connection, container)

    def _choose_freezer(self) -> tuple[str, str]:
        wish = self._settings.freezer
        if wish == "docker":
            return "docker pause", "configured"
        hierarchy = self._hierarchy
        root = hierarchy.freezer or hierarchy.unified
        fault = None
        if not self.api.address.is_local:
            fault = f"the engine is not on this machine ({self.api.address.url})"
        elif root is None:
            fault = "no cgroup hierarchy with a freezer is mounted here"
        elif not os.access(root, os.W_OK):
            fault = f"{root} is not writable for user id {os.geteuid()}"
        if fault is None:
            return f"cgroup v{hierarchy.version}", f"{root} is writable"
        if wish == "cgroup":
            raise EngineError("freezer", f'freezer = "cgroup" is configured, but {fault}')
        return "docker pause", fault

    @property
    def freezes_cgroups(self) -> bool:
        return self._facts.freezer.startswith("cgroup")

    @property
    def hierarchy(self) -> Hierarchy:
        return self._hierarchy

    def pinned(self, image: str, connection: Connection) -> str:
        """Digest of `image`, looked up once: a pool does not mix two builds of one image."""
        if image not in self._images:
            try:
                with doing(f"looking for image {image}"):
                    self._images[image] = connection.get("images", image, "json")["Id"]
            except NotFound as error:
                remedy = f"image {image} does not exist; `petri images build` makes it"
                raise EngineError("image_missing", remedy) from error
        return self._images[image]

    def _sweep(self) -> int:
        swept = 0
        with doing("sweeping"), self.api.connection(_REMOVE_TIMEOUT_S) as connection:
            for one in _labelled(connection, f"{LABEL_HOST}={self._owner.host}"):
                labels = one["Labels"]
                if labels.get(LABEL_BOOT) == self._owner.boot:
                    continue
                # Our own lock is ours, so another boot under our name is dead; under another name, its lock tells.
                lock = labels.get(LABEL_LOCK, "")
                if lock != self._owner.lock and pool_lock.is_held(Path(lock)):
                    continue
                try:
                    self._thaw_stranger(connection, one["Id"])
                    _remove(connection, one["Id"])
                except EngineError as error:  # the others are to go all the same
                    log.warning("container %s, of a pool that is dead, was not removed: %s", one["Id"][:12], error)
                else:
                    swept += 1
        return swept

    def _thaw_stranger(self, connection: Connection, container_id: str) -> None:
        """Best effort: a container frozen by a pool that died cannot be killed on cgroup v1 before it is thawed."""
        with contextlib.suppress(OSError, EngineError):
            pid = _state(connection, container_id)["Pid"]
            if pid:
                freezer = CgroupFreezer.of(Cgroup.of_container(container_id, pid, self._hierarchy))
                freezer.thaw()
                freezer.close()


class _Start:
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
        with doing("starting a container"), engine.api.connection(_MAKE_TIMEOUT_S) as connection:
            config = self._configure(engine.pinned(self._image, connection))
            self._heed_abandonment()
            created = connection.post("containers", "create", body=config, name=self._name)
            container_id: str = created["Id"]
            self._heed_abandonment()
            # Attached before the start, or the first frame could be lost.
            with engine.api.connection(_MAKE_TIMEOUT_S) as attached:
                self._socket = attached.hijack("containers", container_id, "attach", stdin="1", stdout="1", stream="1")
            connection.post("containers", container_id, "start")
            pid: int = _state(connection, container_id)["Pid"]
        try:
            cgroup = Cgroup.of_container(container_id, pid, engine.hierarchy)
            if engine.freezes_cgroups:
                self._freezer = CgroupFreezer.of(cgroup)
                self._process = FirstProcess(pid)
        except OSError as error:
            if engine.freezes_cgroups:
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


def _state(connection: Connection, container_id: str) -> dict[str, Any]:
    state: dict[str, Any] = connection.get("containers", container_id, "json")["State"]
    return state


def _labelled(connection: Connection, *labels: str) -> list[dict[str, Any]]:
    """Every container with these labels, in whatever state."""
    found: list[dict[str, Any]] = connection.get("containers", "json", all="1", filters=json.dumps({"label": labels}))
    return found


def _remove(connection: Connection, container: str) -> None:
    with contextlib.suppress(NotFound, Conflict):
        connection.delete("containers", container, force="1", v="1")


def machine_id() -> str:
    """Tells this machine's pools from those of another that uses the same engine."""
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text().strip()[:16] or platform.node()
    return platform.node()
