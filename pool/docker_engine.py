"""The engine that users have: Docker, in bounded threads.

Off the request's path: a lease calls nothing in here but `DockerContainer.thaw`.

A caller may leave a call at any time; its thread goes on until the engine answers or the call's deadline ends it, and
cleans up after itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from pool import process_lock
from pool.cgroup import Cgroup, Hierarchy
from pool.container_calls import labelled, remove, state_of
from pool.container_config import LABEL_BOOT, LABEL_HOST, LABEL_LOCK, LABEL_POOL, LABEL_SANDBOX, Owner, container_config
from pool.docker_container import DockerContainer
from pool.docker_start import Start
from pool.engine import EngineError, EngineFacts, Usage
from pool.engine_api import Address, Connection, EngineApi, NotFound, doing
from pool.freezer import CgroupFreezer
from pool.settings import PoolSettings
from pool.template import Template

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Deadline of one call that asks or pauses.
_CALL_TIMEOUT_S = 30
#: Deadline of one call that removes something. The engine itself gives up a kill after about 12 s.
_REMOVE_TIMEOUT_S = 20
#: How long the engine may take to notice that a container has ended, and between looks. It takes some 20 ms.
_NOTICES_S = 2.0
_LOOK_AGAIN_S = 0.02
#: How long a caller that is cancelled waits for its half-made container to be gone, before the thread is left alone.
_UNDO_S = 5.0
#: Threads for calls that make, and for calls that remove: separate, so that a stuck removal cannot stop the refill.
_THREADS = 16


class DockerEngine:
    """Boots, freezes, thaws and destroys containers of one pool. `connect` first."""

    def __init__(self, settings: PoolSettings, lock: Path, api: EngineApi, version: str) -> None:
        self.api = api
        self._settings = settings
        self._owner = Owner(settings.name, boot=uuid.uuid4().hex[:12], lock=str(lock), host=machine_id())
        self._making = anyio.CapacityLimiter(_THREADS)
        self._removing = anyio.CapacityLimiter(_THREADS)
        self._hierarchy = Hierarchy.of_this_host()
        freezes_cgroups, why = self._choose_freezer()
        freezer = f"cgroup v{self._hierarchy.version}" if freezes_cgroups else "docker pause"
        self._facts = EngineFacts(f"docker {version}", freezer, why, freezes_cgroups)
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
                api, version = EngineApi.connect(Address.of(settings.docker_host), _CALL_TIMEOUT_S)
            return cls(settings, lock, api, version.get("Version", "?"))

        return await anyio.to_thread.run_sync(connect, abandon_on_cancel=True)

    def facts(self) -> EngineFacts:
        return self._facts

    def image(self, template: Template) -> str:
        return self._images.get(template.image, template.image)

    async def start(self, sandbox_id: str, template: Template, slot: int) -> DockerContainer:
        uid = self._settings.uid_base + slot

        attempt = Start(
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
            return {one["Labels"].get(LABEL_SANDBOX, one["Id"]) for one in labelled(connection, *labels)}

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
                state = await self._call("inspecting", lambda connection: state_of(connection, container_id))
                if not (ended and state["Running"]):
                    return Usage(oom_kills=int(state["OOMKilled"]))
                await anyio.sleep(_LOOK_AGAIN_S)
        raise EngineError("inspecting", f"container {container_id[:12]} ended, and the engine takes it for running")

    async def _call(self, what: str, call: Callable[[Connection], _T]) -> _T:
        def in_thread() -> _T:
            with doing(what), self.api.connection(_CALL_TIMEOUT_S) as connection:
                return call(connection)

        return await anyio.to_thread.run_sync(in_thread, limiter=self._making, abandon_on_cancel=True)

    # -- in threads -------------------------------------------------------------------------------------------------

    def remove(self, container: str) -> None:
        """Kill and remove, by id or name. Gone already, or on its way out already, is what was wanted."""
        with doing("removing a container"), self.api.connection(_REMOVE_TIMEOUT_S) as connection:
            remove(connection, container)

    def _choose_freezer(self) -> tuple[bool, str]:
        """Whether through the cgroup, and why."""
        wish = self._settings.freezer
        if wish == "docker":
            return False, "configured"
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
            return True, f"{root} is writable"
        if wish == "cgroup":
            raise EngineError("freezer", f'freezer = "cgroup" is configured, but {fault}')
        return False, fault

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
            for one in labelled(connection, f"{LABEL_HOST}={self._owner.host}"):
                labels = one["Labels"]
                if labels.get(LABEL_BOOT) == self._owner.boot:
                    continue
                # Our own lock is ours, so another boot under our name is dead; under another name, its lock tells.
                lock = labels.get(LABEL_LOCK, "")
                if lock != self._owner.lock and process_lock.is_held(Path(lock)):
                    continue
                try:
                    self._thaw_stranger(connection, one["Id"])
                    remove(connection, one["Id"])
                except EngineError as error:  # the others are to go all the same
                    log.warning("container %s, of a pool that is dead, was not removed: %s", one["Id"][:12], error)
                else:
                    swept += 1
        return swept

    def _thaw_stranger(self, connection: Connection, container_id: str) -> None:
        """Best effort: a container frozen by a pool that died cannot be killed on cgroup v1 before it is thawed."""
        with contextlib.suppress(OSError, EngineError):
            pid = state_of(connection, container_id)["Pid"]
            if pid:
                freezer = CgroupFreezer.of(Cgroup.of_container(container_id, pid, self._hierarchy))
                freezer.thaw()
                freezer.close()


def machine_id() -> str:
    """Tells this machine's pools from those of another that uses the same engine."""
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text().strip()[:16] or platform.node()
    return platform.node()
