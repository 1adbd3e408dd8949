"""The engine that users have: Docker.

Off the request's path: a lease calls nothing in here but `DockerContainer.thaw` and `is_alive`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import uuid
from pathlib import Path
from typing import Any

import anyio

from pool import process_lock
from pool.cgroup import Cgroup, Hierarchy
from pool.container_calls import REMOVE_TIMEOUT_S, labelled, remove, state_of
from pool.container_config import LABEL_BOOT, LABEL_HOST, LABEL_LOCK, LABEL_POOL, LABEL_SANDBOX, Owner, container_config
from pool.docker_container import DockerContainer
from pool.docker_start import start
from pool.engine import EngineError, EngineFacts, Usage
from pool.engine_api import Address, Conflict, Connection, EngineApi, NotFound, doing
from pool.first_process import FirstProcess
from pool.freezer import CgroupFreezer
from pool.runtimes import RUNC, family
from pool.settings import PoolSettings
from pool.template import PROGRAMS, Template

log = logging.getLogger(__name__)

#: Deadline of one call that asks or pauses.
_CALL_TIMEOUT_S = 30
#: How long the engine may take to notice that a container has ended, and between looks. It takes some 20 ms.
_NOTICES_S = 2.0
_LOOK_AGAIN_S = 0.02
#: Containers of dead pools that are removed at once. More make an engine slower than it is quicker.
_SWEPT_AT_ONCE = 4
#: What `petri images build` makes.
_OWN_IMAGES = frozenset(f"petri/{language}" for language in PROGRAMS)


class DockerEngine:
    """Boots, freezes, thaws and destroys containers of one pool. `connect` first."""

    def __init__(self, settings: PoolSettings, lock: Path, api: EngineApi, version: str) -> None:
        self.api = api
        self._settings = settings
        self._owner = Owner(settings.name, boot=uuid.uuid4().hex[:12], lock=str(lock), host=machine_id())
        self._hierarchy = Hierarchy.of_this_host()
        freezes_cgroups, why = self._choose_freezer()
        freezer = f"cgroup v{self._hierarchy.version}" if freezes_cgroups else "docker pause"
        self._facts = EngineFacts(f"docker {version}", freezer, why, freezes_cgroups)
        self._images: dict[str, str] = {}
        self._example: tuple[str, Cgroup] | None = None  # some container's id and its cgroup

    def __repr__(self) -> str:
        return f"<DockerEngine {self._facts.engine}, boot {self._owner.boot}>"

    @classmethod
    async def connect(cls, settings: PoolSettings, lock: Path) -> DockerEngine:
        """Find the engine and decide how to freeze; raises `EngineError` when it does not answer.

        `lock`: the file that this pool's process keeps locked.
        """
        with doing("connecting"):
            api, version = await EngineApi.connect(Address.of(settings.docker_host), _CALL_TIMEOUT_S)
        return cls(settings, lock, api, version.get("Version", "?"))

    def facts(self) -> EngineFacts:
        return self._facts

    def image(self, template: Template) -> str:
        return self._images.get(template.image, template.image)

    async def start(self, sandbox_id: str, template: Template, slot: int, *, background: bool) -> DockerContainer:
        uid = self._settings.uid_base + slot
        background = background and self._facts.freezes_cgroups and self._hierarchy.weighs  # else it would stay there
        return await start(
            self,
            f"petri-{sandbox_id}",
            template,
            lambda image: container_config(sandbox_id, template, image, uid, self._owner, background=background),
            background=background,
        )

    async def destroy(self, container: Any) -> bool:
        assert isinstance(container, DockerContainer)
        # On cgroup v1 a frozen process takes no SIGKILL before it is thawed, and a gVisor that is paused takes none of
        # the engine's. What is gone needs no thaw.
        with contextlib.suppress(EngineError):
            if container.freezer is not None:
                container.freezer.thaw()
            elif container.paused:
                await self.unpause(container.id)
        try:
            with doing("removing a container"), self.api.connection(REMOVE_TIMEOUT_S) as connection:
                was_there = await remove(connection, container.id)
            self.end_what_the_engine_forgot(container.id)
        except BaseException:
            container.kill()  # what ran in it ends, even if the engine does not come to it for a while
            raise
        container.close()
        return was_there

    def end_what_the_engine_forgot(self, container_id: str) -> None:
        """After a removal. A dockerd that is killed while it starts or removes a container may not know, afterwards,
        that there are processes in it, and then a removal ends none."""
        if self._example is not None and (found := self._example[1].of_sibling(self._example[0], container_id)):
            ended = found[0].end_all()
            log.warning("container %s was removed, and its %d processes were not", container_id[:12], ended)

    async def reach(self, container: Any) -> bool:
        # Its processes: nothing of that is in dockerd's own memory, unlike what it says to an inspect or a ping.
        with doing("looking into a container"), self.api.connection(_CALL_TIMEOUT_S) as connection:
            try:
                await connection.get("containers", container.id, "top")
            except (NotFound, Conflict):
                return False
            return True

    async def ours(self) -> set[str]:
        labels = [f"{LABEL_POOL}={self._owner.pool}", f"{LABEL_HOST}={self._owner.host}"]
        with doing("listing containers"), self.api.connection(_CALL_TIMEOUT_S) as connection:
            return {one["Labels"].get(LABEL_SANDBOX, one["Id"]) for one in await labelled(connection, *labels)}

    async def remove_orphan(self, sandbox_id: str) -> None:
        labels = [f"{LABEL_BOOT}={self._owner.boot}", f"{LABEL_SANDBOX}={sandbox_id}"]
        with doing("removing an orphan"), self.api.connection(REMOVE_TIMEOUT_S) as connection:
            for one in await labelled(connection, *labels):
                await self._end_stranger(connection, one["Id"])
                await remove(connection, one["Id"])
                self.end_what_the_engine_forgot(one["Id"])

    async def pause(self, container_id: str) -> None:
        with doing("pausing"), self.api.connection(_CALL_TIMEOUT_S) as connection:
            await connection.post("containers", container_id, "pause")

    async def unpause(self, container_id: str) -> None:
        with doing("unpausing"), self.api.connection(_CALL_TIMEOUT_S) as connection:
            await connection.post("containers", container_id, "unpause")

    async def usage(self, container_id: str, *, ended: bool) -> Usage:
        """What the engine itself says, for containers whose cgroup this process cannot see, or not any more.

        `ended`: the container is known to have ended, and the engine may be a moment behind.
        """
        with anyio.move_on_after(_NOTICES_S), doing("inspecting"), self.api.connection(_CALL_TIMEOUT_S) as connection:
            while True:
                state = await state_of(connection, container_id)
                if not (ended and state["Running"]):
                    return Usage(oom_kills=int(state["OOMKilled"]))
                await anyio.sleep(_LOOK_AGAIN_S)
        raise EngineError("inspecting", f"container {container_id[:12]} ended, and the engine takes it for running")

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

    async def cgroup_of(self, connection: Connection, container_id: str, runtime: str) -> tuple[Cgroup, int]:
        """A started container's cgroup, and its first process. Raises OSError when they are not to be had.

        The engine is asked for the first container's; where the others' are follows from it. Not so under another
        runtime: the first process in its cgroup may be a helper, and not the one whose end is the sandbox's.
        """
        example = self._example if family(runtime) == RUNC else None
        if example is not None and (found := example[1].of_sibling(example[0], container_id)):
            return found
        pid: int = (await state_of(connection, container_id))["Pid"]
        cgroup = Cgroup.of_container(container_id, pid, self._hierarchy)
        if family(runtime) == RUNC:
            self._example = (container_id, cgroup)
        return cgroup, pid

    def unpin(self, image: str) -> None:
        """What `image` was is gone: the next start looks it up anew."""
        self._images.pop(image, None)

    async def pinned(self, image: str, connection: Connection) -> str:
        """Digest of `image`, looked up once: a pool does not mix two builds of one image."""
        if image not in self._images:
            try:
                with doing(f"looking for image {image}"):
                    self._images[image] = (await connection.get("images", image, "json"))["Id"]
            except NotFound as error:
                raise EngineError(
                    "image_missing", f"image {image} does not exist; {remedy_for_missing(image)}"
                ) from error
        return self._images[image]

    async def sweep(self) -> int:
        with doing("sweeping"), self.api.connection(REMOVE_TIMEOUT_S) as connection:
            found = await labelled(connection, f"{LABEL_HOST}={self._owner.host}")
        dead = [one["Id"] for one in found if self._is_of_the_dead(one["Labels"])]
        turns, swept = anyio.Semaphore(_SWEPT_AT_ONCE), list[str]()

        async def sweep_one(container_id: str) -> None:
            async with turns:
                with self.api.connection(REMOVE_TIMEOUT_S) as connection:
                    try:
                        await self._end_stranger(connection, container_id)
                        await remove(connection, container_id)
                        self.end_what_the_engine_forgot(container_id)
                    except EngineError as error:  # the others are to go all the same
                        log.warning("container %s, of a dead pool, was not removed: %s", container_id[:12], error)
                    else:
                        swept.append(container_id)

        async with anyio.create_task_group() as tasks:
            for container_id in dead:
                tasks.start_soon(sweep_one, container_id)
        if len(swept) < len(dead):
            raise EngineError("sweeping", f"{len(dead) - len(swept)} of {len(dead)} containers of dead pools are left")
        return len(swept)

    def _is_of_the_dead(self, labels: dict[str, str]) -> bool:
        """Whether a container belongs to no living pool."""
        if labels.get(LABEL_BOOT) == self._owner.boot:
            return False
        # Our own lock is ours, so another boot under our name is dead; under another name, its lock tells.
        lock = labels.get(LABEL_LOCK, "")
        return lock == self._owner.lock or not process_lock.is_held(Path(lock))

    async def _end_stranger(self, connection: Connection, container_id: str) -> None:
        """Best effort, for a container of a pool that died: let it go on, see `destroy`, and end.

        An engine that was started again meanwhile may take ten seconds over a container that ends by itself in the
        moment in which it is to be killed. So it is ended first, and removed when the engine has noticed.
        """
        with contextlib.suppress(OSError, EngineError), contextlib.ExitStack() as held:
            state = await state_of(connection, container_id)
            if state.get("Paused"):
                await connection.post("containers", container_id, "unpause")
            if not (pid := state["Pid"]):
                return
            process = FirstProcess(pid)
            held.callback(process.close)
            freezer = CgroupFreezer.of(Cgroup.of_container(container_id, pid, self._hierarchy))
            held.callback(freezer.close)
            freezer.thaw()
            process.kill()
            with anyio.move_on_after(_NOTICES_S):
                while (await state_of(connection, container_id))["Running"]:  # noqa: ASYNC110 - nothing else tells
                    await anyio.sleep(_LOOK_AGAIN_S)


def remedy_for_missing(image: str) -> str:
    """What to do about an image that does not exist."""
    if image in _OWN_IMAGES:
        return "`petri images build` makes it"
    return "make it, or name another one"


def machine_id() -> str:
    """Tells this machine's pools from those of another that uses the same engine."""
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text().strip()[:16] or platform.node()
    return platform.node()
