"""Calls to the engine about containers, in more than one place needed."""

from __future__ import annotations

import json
from typing import Any

import anyio

from pool.engine import EngineError
from pool.engine_api import Conflict, Connection, NotFound

#: For a removal, one that somebody else began included. The engine itself gives up a kill after about 12 s.
REMOVE_TIMEOUT_S = 20.0
#: Between looks at a removal that somebody else began. It takes some 50 ms.
_LOOK_AGAIN_S = 0.05


async def state_of(connection: Connection, container_id: str) -> dict[str, Any]:
    """Its `State`: Pid, Running, OOMKilled and more."""
    state: dict[str, Any] = (await connection.get("containers", container_id, "json"))["State"]
    return state


async def labelled(connection: Connection, *labels: str) -> list[dict[str, Any]]:
    """Every container with these labels, in whatever state."""
    filters = json.dumps({"label": labels})
    found: list[dict[str, Any]] = await connection.get("containers", "json", all="1", filters=filters)
    return found


async def remove(connection: Connection, container: str) -> bool:
    """Kill and remove, by id or name. Gone already is what was wanted, and False.

    On its way out already is not gone yet, and may fail yet: it is waited for, as long as a removal may take.
    """
    why = EngineError("engine_timeout", f"not removed within {REMOVE_TIMEOUT_S:g} s")
    with anyio.move_on_after(REMOVE_TIMEOUT_S):
        while True:
            try:
                await connection.delete("containers", container, force="1", v="1")
                return True
            except NotFound:
                return False
            except Conflict as conflict:
                why = conflict
            await anyio.sleep(_LOOK_AGAIN_S)
    raise why
