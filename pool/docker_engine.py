"""The engine that users have: Docker, in bounded threads. No other module of the pool imports `docker`.

Off the request's path: a lease calls nothing in here but `DockerContainer.thaw`.

A caller may leave a call at any time; its thread goes on until the engine answers or the call's deadline ends it, and
cleans up after itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import docker
import docker.errors
import requests
from docker.utils import kwargs_from_env

from pool import pool_lock
from pool.cgroup import Cgroup, Hierarchy
from pool.container_config import LABEL_BOOT, LABEL_HOST, LABEL_LOCK, LABEL_POOL, LABEL_SANDBOX, Owner, container_config
from pool.engine import EngineError, EngineFacts, Usage
from pool.freezer import CgroupFreezer
from pool.settings import PoolSettings
from pool.template import Template
from runners.channel import Transport

log = logging.getLogger(__name__)

#: Deadline of one call that makes something. A start takes 0.2 s, some seconds under load.
_MAKE_TIMEOUT_S = 30
#: Deadline of one call that removes something. The engine itself gives up a kill after about 12 s.
_REMOVE_TIMEOUT_S = 20
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
    ) -> None:
        self._engine = engine
        self._id = container_id
        self._socket = sock
        self._cgroup = cgroup
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

    async def usage(self) -> Usage:
        if self._cgroup.memory is None and self._cgroup.unified is None:
            return await self._engine.usage(self._id)
        return self._cgroup.usage()


class DockerEngine:
    """Boots, freezes, thaws and destroys containers of one pool. `connect` first."""

    def __init__(self, settings: PoolSettings, lock: Path, make: docker.APIClient, remove: docker.APIClient) -> None:
        self._settings = settings
        self._owner = Owner(settings.name, boot=uuid.uuid4().hex[:12], lock=str(lock), host=machine_id())
        self.make = make
        self._remover = remove
        self._making = anyio.CapacityLimiter(_THREADS)
        self._removing = anyio.CapacityLimiter(_THREADS)
        self._hierarchy = Hierarchy.of_this_host()
        self._facts = self._look()
        self._images: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<DockerEngine {self._facts.engine}, boot {self._owner.boot}>"

    @classmethod
    async def connect(cls, settings: PoolSettings, lock: Path) -> DockerEngine:
        """Find the engine and decide how to freeze; raises `EngineError` when it does not answer.

        `lock`: the file that this pool's process keeps locked.
        """

        def connect() -> DockerEngine:
            with _engine_errors("connecting"):
                return cls(
                    settings,
                    lock,
                    client(settings.docker_host, _MAKE_TIMEOUT_S),
                    client(settings.docker_host, _REMOVE_TIMEOUT_S),
                )

        return await anyio.to_thread.run_sync(connect, abandon_on_cancel=True)

    def facts(self) -> EngineFacts:
        return self._facts

    def image(self, template: Template) -> str:
        return self._images.get(template.image, template.image)

    async def start(self, sandbox_id: str, template: Template, slot: int) -> DockerContainer:
        uid = self._settings.uid_base + slot

        def configure() -> dict[str, object]:
            return container_config(sandbox_id, template, self._pinned(template.image), uid, self._owner)

        attempt = _Start(self, configure, sandbox_id)
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
        if container.freezer is not None:
            container.freezer.close()
        container.socket.close()

    async def sweep(self) -> int:
        return await anyio.to_thread.run_sync(self._sweep, limiter=self._removing, abandon_on_cancel=True)

    async def ours(self) -> set[str]:
        filters = {"label": [f"{LABEL_POOL}={self._owner.pool}", f"{LABEL_HOST}={self._owner.host}"]}

        def find() -> set[str]:
            with _engine_errors("listing containers"):
                found = self.make.containers(all=True, filters=filters)
                return {one["Labels"].get(LABEL_SANDBOX, one["Id"]) for one in found}

        return await anyio.to_thread.run_sync(find, limiter=self._making, abandon_on_cancel=True)

    async def pause(self, container_id: str) -> None:
        await self._in_thread("pausing", lambda: self.make.pause(container_id))

    async def unpause(self, container_id: str) -> None:
        await self._in_thread("unpausing", lambda: self.make.unpause(container_id))

    async def usage(self, container_id: str) -> Usage:
        """What the engine itself says, for containers whose cgroup this process cannot see."""

        def look() -> Usage:
            with _engine_errors("inspecting"):
                return Usage(oom_kills=int(self.make.inspect_container(container_id)["State"]["OOMKilled"]))

        return await anyio.to_thread.run_sync(look, limiter=self._making, abandon_on_cancel=True)

    async def _in_thread(self, doing: str, call: Any) -> None:
        def guarded() -> None:
            with _engine_errors(doing):
                call()

        await anyio.to_thread.run_sync(guarded, limiter=self._making, abandon_on_cancel=True)

    # -- in threads -------------------------------------------------------------------------------------------------

    def remove(self, container: str) -> None:
        """Kill and remove, by id or name. Gone already, or on its way out already, is what was wanted."""
        with contextlib.suppress(_NotFound, _Conflict), _engine_errors("removing a container"):
            self._remover.remove_container(container, force=True, v=True)

    def _look(self) -> EngineFacts:
        with _engine_errors("asking for its version"):
            version = self.make.version()
        freezer, why = self._choose_freezer()
        return EngineFacts(f"docker {version.get('Version', '?')}", freezer, why)

    def _choose_freezer(self) -> tuple[str, str]:
        wish = self._settings.freezer
        if wish == "docker":
            return "docker pause", "configured"
        hierarchy = self._hierarchy
        root = hierarchy.freezer or hierarchy.unified
        fault = None
        if not self.make.base_url.startswith("http+docker://"):
            fault = f"the engine is not on this machine ({self.make.base_url})"
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

    def _pinned(self, image: str) -> str:
        """Digest of `image`, looked up once: a pool does not mix two builds of one image."""
        if image not in self._images:
            try:
                with _engine_errors(f"looking for image {image}"):
                    self._images[image] = self.make.inspect_image(image)["Id"]  # type: ignore[no-untyped-call]
            except _NotFound as error:
                remedy = f"image {image} does not exist; `petri images build` makes it"
                raise EngineError("image_missing", remedy) from error
        return self._images[image]

    def _sweep(self) -> int:
        with _engine_errors("listing containers"):
            found = self._remover.containers(all=True, filters={"label": [f"{LABEL_HOST}={self._owner.host}"]})
        swept = 0
        for one in found:
            labels = one["Labels"]
            if labels.get(LABEL_BOOT) == self._owner.boot:
                continue
            # Our own lock is ours, so another boot under our name is dead; under another name, its lock tells.
            lock = labels.get(LABEL_LOCK, "")
            if lock != self._owner.lock and pool_lock.is_held(Path(lock)):
                continue
            try:
                self._thaw_stranger(one["Id"])
                self.remove(one["Id"])
            except EngineError as error:  # the others are to go all the same
                log.warning("container %s, of a pool that is dead, was not removed: %s", one["Id"][:12], error)
            else:
                swept += 1
        return swept

    def _thaw_stranger(self, container_id: str) -> None:
        """Best effort: a container frozen by a pool that died cannot be killed on cgroup v1 before it is thawed."""
        with contextlib.suppress(OSError, EngineError):
            with _engine_errors("inspecting"):
                pid = self._remover.inspect_container(container_id)["State"]["Pid"]
            if pid:
                freezer = CgroupFreezer.of(Cgroup.of_process(pid, self._hierarchy))
                freezer.thaw()
                freezer.close()


class _NotFound(EngineError):
    """The engine does not know what was named."""


class _Conflict(EngineError):
    """What was asked for is so already, or under way: a second removal."""


class _Start:
    """One attempt to start a container, in a thread of its own, that its caller may abandon at any time.

    Whoever comes second cleans up: the thread, when it finds itself abandoned or has failed; the caller, when the
    thread had already delivered. `_lock` decides who that is, and guards the three flags.
    """

    def __init__(self, engine: DockerEngine, configure: Callable[[], dict[str, object]], sandbox_id: str) -> None:
        self._engine = engine
        self._configure = configure
        # A name, since a create whose answer is lost may have made a container all the same.
        self._name = f"petri-{sandbox_id}"
        self._socket: socket.socket | None = None
        self._freezer: CgroupFreezer | None = None
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
        with _engine_errors("starting a container"):
            config = self._configure()
            self._heed_abandonment()
            created = engine.make.create_container_from_config(config, self._name)  # type: ignore[no-untyped-call]
            container_id: str = created["Id"]
            self._heed_abandonment()
            # Attached before the start, or the first frame could be lost.
            self._socket = _attach(engine.make, container_id)
            engine.make.start(container_id)
            pid: int = engine.make.inspect_container(container_id)["State"]["Pid"]
        try:
            cgroup = Cgroup.of_process(pid, engine.hierarchy)
            if engine.freezes_cgroups:
                self._freezer = CgroupFreezer.of(cgroup)
        except OSError as error:
            raise EngineError("died", f"the container's cgroup is not to be had, pid {pid}: {error}") from error
        return DockerContainer(engine, container_id, self._socket, self._freezer, cgroup)

    def _heed_abandonment(self) -> None:
        if self._abandoned:
            raise EngineError("abandoned", f"{self._name}: nobody waits for it any more")

    def _undo(self) -> None:
        for held in (self._socket, self._freezer):
            if held is not None:
                held.close()
        try:
            self._engine.remove(self._name)
        except EngineError as error:
            log.error("%s may be left over until the next start's sweep: %s", self._name, error)


def _attach(client: docker.APIClient, container_id: str) -> socket.socket:
    """The container's standard input and output as a socket of our own."""
    wrapped = client.attach_socket(container_id, params={"stdin": 1, "stdout": 1, "stream": 1})
    # `docker` gives a reader over the connection of an HTTP response; the duplicate outlives both.
    sock = socket.socket(fileno=os.dup(wrapped.fileno()))
    response = getattr(wrapped, "_response", None)
    if response is not None:
        response.close()
    return sock


@contextlib.contextmanager
def _engine_errors(doing: str) -> Iterator[None]:
    """Everything that the package and its HTTP library raise, as `EngineError`; by kind, never by text."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise _NotFound("not_found", f"{doing}: {error.explanation}") from error
    except docker.errors.APIError as error:
        if error.response is not None and error.response.status_code == 409:
            raise _Conflict("conflict", f"{doing}: {error.explanation}") from error
        status = error.response.status_code if error.response is not None else "?"
        raise EngineError("refused", f"{doing}: {status} {error.explanation}") from error
    except requests.exceptions.Timeout as error:
        raise EngineError("engine_timeout", f"{doing}: no answer in time") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineError("engine_down", f"{doing}: {error}") from error


def client(docker_host: str, timeout_s: int) -> docker.APIClient:
    """A client for the engine at `docker_host` (empty: where the environment says), in a version that both speak."""
    if docker_host:
        return docker.APIClient(base_url=docker_host, version="auto", timeout=timeout_s, max_pool_size=_THREADS)
    return docker.APIClient(**kwargs_from_env(), version="auto", timeout=timeout_s, max_pool_size=_THREADS)


def machine_id() -> str:
    """Tells this machine's pools from those of another that uses the same engine."""
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text().strip()[:16] or platform.node()
    return platform.node()
