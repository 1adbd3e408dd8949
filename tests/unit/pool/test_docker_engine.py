"""Rules 10 and 12 of the pool where they meet Docker: a start that is abandoned while its thread is still at it.

The stand-in below takes the place of the `docker` package's client: what is tested is who cleans up when, which a real
engine answers too quickly to show. Real engines are in tests/docker.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import anyio
import anyio.to_thread
import docker.errors
import pytest
import requests
import sniffio

from pool.docker_engine import DockerEngine
from pool.engine import EngineError
from pool.settings import PoolSettings
from pool.template import Template

TEMPLATE = Template(name="python", language="python", image="petri/python")
SETTINGS = PoolSettings(freezer="docker")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),  # with a real clock: threads take real time
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class SlowClient:
    """Holds its containers by name. A call named in `slow` says that it has begun, and waits to be let go."""

    base_url = "http+docker://localhost"

    def __init__(self) -> None:
        self.existing: set[str] = set()
        self.stubborn: set[str] = set()  # containers that the engine refuses to remove
        self.slow: dict[str, tuple[threading.Event, threading.Event]] = {}
        self.sockets: list[socket.socket] = []
        self.removed = threading.Event()

    def hold(self, call: str) -> tuple[threading.Event, threading.Event]:
        """Events: the call has begun; the call may go on."""
        self.slow[call] = threading.Event(), threading.Event()
        return self.slow[call]

    def _step(self, call: str) -> None:
        if call in self.slow:
            begun, go_on = self.slow[call]
            begun.set()
            assert go_on.wait(10), f"{call} was never let go"

    def version(self) -> dict[str, str]:
        return {"Version": "slow"}

    def inspect_image(self, name: str) -> dict[str, str]:
        self._step("inspect_image")
        return {"Id": f"sha256:{name}"}

    def create_container_from_config(self, config: object, name: str) -> dict[str, str]:
        self._step("create")
        self.existing.add(name)
        return {"Id": name}

    def attach_socket(self, name: str, params: object) -> SimpleNamespace:
        ours, theirs = socket.socketpair()
        self.sockets += [ours, theirs]
        return SimpleNamespace(fileno=ours.fileno)

    def start(self, name: str) -> None:
        self._step("start")

    def inspect_container(self, name: str) -> dict[str, dict[str, int]]:
        return {"State": {"Pid": os.getpid()}}

    def remove_container(self, name: str, force: bool, v: bool) -> None:
        self._step("remove")
        if name in self.stubborn:
            raise docker.errors.APIError("no", response=SimpleNamespace(status_code=500, reason="", url=""))
        if name not in self.existing:
            raise docker.errors.NotFound("gone")
        self.existing.remove(name)
        self.removed.set()

    def containers(self, all: bool, filters: object) -> list[dict[str, object]]:
        return [{"Id": name, "Labels": {"petri.boot": "of the dead"}} for name in sorted(self.existing)]


@pytest.fixture
def client():
    client = SlowClient()
    yield client
    for end in client.sockets:
        end.close()


def engine_over(client: SlowClient) -> DockerEngine:
    return DockerEngine(SETTINGS, Path("/nowhere/lock"), client, client)  # type: ignore[arg-type]


async def begun(call: tuple[threading.Event, threading.Event]) -> None:
    assert await anyio.to_thread.run_sync(call[0].wait, 10)


@pytest.mark.parametrize("step", ["inspect_image", "create", "start"])
async def test_a_start_cancelled_by_its_scope_leaves_when_nothing_is_left(client, step):
    engine, call = engine_over(client), client.hold(step)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.start, "sb_1", TEMPLATE, 0)
            await begun(call)
            tasks.cancel_scope.cancel()
            call[1].set()
    assert not client.existing


@pytest.mark.parametrize("step", ["create", "start"])
async def test_a_start_cancelled_as_a_native_task_leaves_when_nothing_is_left(client, step):
    if sniffio.current_async_library() != "asyncio":
        pytest.skip("native tasks are asyncio's")
    engine, call = engine_over(client), client.hold(step)
    task = asyncio.ensure_future(engine.start("sb_1", TEMPLATE, 0))
    await begun(call)
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    call[1].set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.existing


async def test_a_start_cancelled_twice_natively_is_undone_by_its_thread(client):
    if sniffio.current_async_library() != "asyncio":
        pytest.skip("native tasks are asyncio's")
    engine, call = engine_over(client), client.hold("create")
    task = asyncio.ensure_future(engine.start("sb_1", TEMPLATE, 0))
    await begun(call)
    for _ in range(2):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
    assert task.done()
    call[1].set()
    assert await anyio.to_thread.run_sync(client.removed.wait, 10)
    assert not client.existing


async def test_an_engine_that_hangs_keeps_a_cancelled_start_for_a_limited_time(client, monkeypatch):
    monkeypatch.setattr("pool.docker_engine._UNDO_S", 0.05)
    engine, call = engine_over(client), client.hold("create")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.start, "sb_1", TEMPLATE, 0)
            await begun(call)
            tasks.cancel_scope.cancel()
    call[1].set()
    assert await anyio.to_thread.run_sync(client.removed.wait, 10)
    assert not client.existing


async def test_a_removal_can_be_left_and_ends_by_itself(client):
    engine = engine_over(client)
    container = await engine.start("sb_1", TEMPLATE, 0)
    client.sockets.append(container.socket)
    call = client.hold("remove")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.destroy, container)
            await begun(call)
            tasks.cancel_scope.cancel()
    call[1].set()
    assert await anyio.to_thread.run_sync(client.removed.wait, 10)


async def test_a_start_that_fails_removes_what_it_had_made_and_says_why(client, monkeypatch):
    engine = engine_over(client)

    def refuse(name: str) -> None:
        raise requests.exceptions.ReadTimeout

    monkeypatch.setattr(client, "start", refuse)
    with pytest.raises(EngineError) as raised:
        await engine.start("sb_1", TEMPLATE, 0)
    assert raised.value.reason == "engine_timeout"
    assert not client.existing


async def test_one_container_that_will_not_go_does_not_end_the_sweep(client):
    client.existing = {"a", "b", "c"}
    client.stubborn = {"a"}
    assert await engine_over(client).sweep() == 2
    assert client.existing == {"a"}
