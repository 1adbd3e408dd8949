"""The gateway over real HTTP, before a real pool daemon with a fake engine; all on the test's own loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import httpx
import uvicorn

from gateway.app import create_app
from gateway.attendance import Attendance
from gateway.context import Gateway
from gateway.serve import uvicorn_config
from gateway.settings import GatewaySettings
from pool.fleet import Fleet
from pool.settings import PoolSettings
from pool.stats import PoolSnapshot
from pool.template import Template
from pool.testing import FakeContainer, FakeEngine, fake_pool_daemon

PYTHON = Template(
    name="python",
    language="python",
    image="petri/python",
    target=2,
    max_sandboxes=6,
    max_timeout_s=60.0,
    workdir_mib=1,
    wait_s=2.0,
)
NODE = PYTHON.model_copy(update={"name": "node", "language": "node", "image": "petri/node"})


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Served:
    """A running gateway, and the world behind it."""

    http: httpx.AsyncClient
    server: uvicorn.Server
    port: int
    engine: FakeEngine
    fleet: Fleet
    attendance: Attendance
    clock: Clock

    @property
    def gateway(self) -> Gateway:
        """What its routes share."""
        return cast(Gateway, self.server.lifespan.state["gateway"])

    def pool(self, template: str = "python") -> PoolSnapshot:
        return next(pool for pool in self.fleet.stats().pools if pool.template == template)

    def leases_asked_for(self) -> int:
        return sum(sum(pool.lease_outcomes.values()) for pool in self.fleet.stats().pools)

    def container(self, sandbox_id: str) -> FakeContainer:
        return self.engine.containers[sandbox_id]

    async def run(self, code: str, **members: object) -> httpx.Response:
        return await self.http.post("/v1/run", json={"language": "python", "code": code, **members})

    async def sandbox(self, **members: object) -> str:
        answer = await self.http.post("/v1/sandboxes", json={"language": "python", **members})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def exec(self, sandbox_id: str, code: str, **members: object) -> httpx.Response:
        return await self.http.post(f"/v1/sandboxes/{sandbox_id}/exec", json={"code": code, **members})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until it is so. What it waits for happens in other tasks of this loop, which get a turn each time."""
        with anyio.fail_after(10):
            while not condition():
                await anyio.lowlevel.checkpoint()

    async def until_running(self, sandbox_id: str) -> None:
        with anyio.fail_after(10):
            while (await self.http.get(f"/v1/sandboxes/{sandbox_id}")).json()["status"] != "running":
                pass


@asynccontextmanager
async def serving(
    directory: Path,
    templates: Sequence[Template] = (PYTHON, NODE),
    *,
    settings: GatewaySettings | None = None,
    pool_templates: Sequence[Template] | None = None,
    pool_is_away: bool = False,
) -> AsyncIterator[Served]:
    """At the end every lease must have been given back by the gateway itself."""
    path = directory / "pool.sock"
    looks_at = directory / "nobody.sock" if pool_is_away else path
    settings = (settings or GatewaySettings()).model_copy(update={"pool_socket": looks_at})
    quick = PoolSettings(boots_at_once=8, destroys_at_once=8)
    attendance = Attendance(settings.drain_s)
    clock = Clock()
    async with fake_pool_daemon(pool_templates or templates, path, quick) as (engine, fleet):
        async with _listening(settings, templates, attendance, clock) as (server, port):
            address = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=20.0) as http:
                yield Served(http, server, port, engine, fleet, attendance, clock)
        with anyio.fail_after(10):
            while any(pool.leased for pool in fleet.stats().pools):
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def _listening(
    settings: GatewaySettings, templates: Sequence[Template], attendance: Attendance, clock: Clock
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    app = create_app(settings, templates, attendance=attendance, clock=clock)
    config = uvicorn_config(app)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await server.startup(sockets=[sock])
        try:
            yield server, sock.getsockname()[1]
        finally:
            # What `Server.shutdown` does, less its pause of 0.1 s; with that one the tests of `serve` deal.
            for listener in server.servers:
                listener.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            await server.lifespan.shutdown()
