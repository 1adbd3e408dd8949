"""Start a container so that nothing is left of it, whoever gives up when."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from pool.cgroup import UNSEEN
from pool.container_calls import remove
from pool.docker_container import DockerContainer
from pool.engine import EngineError
from pool.engine_api import Connection, NotFound, doing
from pool.first_process import FirstProcess
from pool.freezer import CgroupFreezer
from pool.template import Template

if TYPE_CHECKING:
    from pool.docker_engine import DockerEngine

log = logging.getLogger(__name__)

#: Deadline of one call. A start takes 0.2 s, some seconds under load.
_CALL_TIMEOUT_S = 30
#: What a sandbox's network sockets may hold unread. Enough for a server and its clients on the loopback interface.
_SOCKET_BYTES = 16 << 20
#: How long a start that failed or was cancelled may take to remove what it had made. Of a hung engine it is then left.
_UNDO_S = 5.0
#: Of it, how long the call that was under way may take to end. What an even later one makes is the census's to find.
_FINISH_S = 2.0


async def start(
    engine: DockerEngine,
    name: str,
    template: Template,
    configure: Callable[[str], dict[str, object]],
    *,
    background: bool,
) -> DockerContainer:
    """The container, with its stream attached. Failed or cancelled, nothing of it is left.

    `background`: whether `configure`, which makes the create call's body from the image's digest, gives it a small
    share in the processors. `name`, since a create whose answer is lost may have made a container all the same.
    """
    held = contextlib.ExitStack()
    container_id = ""
    with doing("starting a container"), engine.api.connection(_CALL_TIMEOUT_S) as connection:
        try:
            config = configure(await engine.pinned(template.image, connection))
            container_id = await _created(engine, connection, name, template.image, config)
            # Attached before the start, or the first frame could be lost.
            with engine.api.connection(_CALL_TIMEOUT_S) as attached:
                stream = await attached.hijack("containers", container_id, "attach", stdin="1", stdout="1", stream="1")
            held.callback(stream.close)
            await connection.post("containers", container_id, "start")
            cgroup, freezer, process = UNSEEN, None, None
            try:
                cgroup, pid = await engine.cgroup_of(connection, container_id, template.runtime)
                if engine.facts().freezes_cgroups:
                    cgroup.bound_sockets(_SOCKET_BYTES)
                    freezer = CgroupFreezer.of(cgroup)
                    held.callback(freezer.close)
                    process = FirstProcess(pid)
            except OSError as error:
                if engine.facts().freezes_cgroups:
                    raise EngineError("died", f"the container's cgroup is not to be had: {error}") from error
                # Else the engine is on another machine, or its processes are not ours to look at.
            return DockerContainer(engine, container_id, stream, freezer, cgroup, process, background=background)
        except BaseException:
            held.close()
            with anyio.CancelScope(shield=True):
                await _undo(connection, name)
            engine.end_what_the_engine_forgot(container_id or name)
            raise


async def _created(
    engine: DockerEngine, connection: Connection, name: str, image: str, config: dict[str, object]
) -> str:
    try:
        return str((await connection.post("containers", "create", body=config, name=name))["Id"])
    except NotFound as error:  # what else could be missing? When it is made anew, no restart shall be needed
        engine.unpin(image)
        raise EngineError("image_missing", f"image {image} is not there any more: {error}") from error


async def _undo(connection: Connection, name: str) -> None:
    why: object = f"the engine did not answer within {_UNDO_S:g} s"
    with anyio.move_on_after(_UNDO_S):
        try:
            with anyio.move_on_after(_FINISH_S), contextlib.suppress(EngineError):
                await connection.finish()  # before that, there may be nothing to remove yet
            connection.close()  # an answer that is still due must not be taken for the removal's
            await remove(connection, name)
            return
        except EngineError as error:
            why = error
    log.error("%s may be left over until a census or the next start's sweep: %s", name, why)
