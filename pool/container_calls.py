"""Calls to the engine about containers, in more than one place needed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from pool.engine_api import Conflict, Connection, NotFound


async def state_of(connection: Connection, container_id: str) -> dict[str, Any]:
    """Its `State`: Pid, Running, OOMKilled and more."""
    state: dict[str, Any] = (await connection.get("containers", container_id, "json"))["State"]
    return state


async def labelled(connection: Connection, *labels: str) -> list[dict[str, Any]]:
    """Every container with these labels, in whatever state."""
    filters = json.dumps({"label": labels})
    found: list[dict[str, Any]] = await connection.get("containers", "json", all="1", filters=filters)
    return found


async def remove(connection: Connection, container: str) -> None:
    """Kill and remove, by id or name. Gone already, or on its way out already, is what was wanted."""
    with contextlib.suppress(NotFound, Conflict):
        await connection.delete("containers", container, force="1", v="1")
