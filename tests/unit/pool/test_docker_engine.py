"""Rules 10 and 12 of the pool where they meet Docker: a start that is cancelled in the middle of a call.

The engine below answers the calls that the pool makes over a real socket, as slowly as a test wants: who cleans up when
is what a real engine answers too quickly to show. Real engines are in tests/docker.
"""

from __future__ import annotations

import asyncio
import json
import os
import socketserver
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import pytest
import sniffio

from pool import docker_start, engine_api
from pool.docker_engine import DockerEngine
from pool.engine import EngineError
from pool.engine_api import Address, EngineApi
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


class SlowEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Holds its containers by name. A call named in `slow` says that it has begun, and waits to be let go."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.existing: set[str] = set()
        self.stubborn: set[str] = set()  # containers that the engine refuses to remove
        self.failing: set[str] = set()  # calls
        self.conflicts = 0  # removals that are answered as one that is under way already
        self.slow: dict[str, tuple[threading.Event, threading.Event]] = {}
        self.created = threading.Event()
        self.removed = threading.Event()
        self.calls: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: the pool leaves calls in the middle, which is what is tested."""

    def hold(self, call: str) -> tuple[threading.Event, threading.Event]:
        """Events: the call has begun; the call may go on."""
        self.slow[call] = threading.Event(), threading.Event()
        return self.slow[call]


class Handler(BaseHTTPRequestHandler):
    """The part of the engine's API that the pool needs."""

    protocol_version = "HTTP/1.1"
    server: SlowEngine

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        match self._path():
            case ["version"]:
                self._answer(200, {"Version": "slow", "ApiVersion": "1.41"})
            case ["images", *name, "json"]:
                self._begin("image")
                self._answer(200, {"Id": f"sha256:{name}"})
            case ["containers", "json"]:
                found = [{"Id": name, "Labels": {"petri.boot": "of the dead"}} for name in sorted(self.server.existing)]
                self._answer(200, found)
            case ["containers", name, "top"]:
                self._answer(*((200, {}) if name in self.server.existing else (404, {"message": "no such container"})))
            case ["containers", _, "json"]:
                paused = self.server.calls[-1:] == ["pause"]
                self._answer(200, {"State": {"Pid": os.getpid(), "Paused": paused}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self._path():
            case ["containers", "create"]:
                self._begin("create")
                if "create" in self.server.failing:
                    self._answer(404, {"message": "no such image"})
                    return
                name = parse_qs(urlsplit(self.path).query)["name"][0]
                self.server.existing.add(name)
                self.server.created.set()
                self._answer(201, {"Id": name})
            case ["containers", _, "attach"]:
                self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst bytes")
                self.rfile.read()  # until the pool closes it
                self.close_connection = True
            case ["containers", _, "start"]:
                self._begin("start")
                self._answer(500 if "start" in self.server.failing else 204, {"message": "told to fail"})
            case ["containers", _, ("pause" | "unpause") as call]:
                self._begin(call)
                self._answer(204, None)

    def do_DELETE(self) -> None:
        name = self._path()[1]
        self._begin("remove")
        if self.server.conflicts:
            self.server.conflicts -= 1
            self._answer(409, {"message": "removal is already in progress"})
        elif name in self.server.stubborn:
            self._answer(500, {"message": "it will not go"})
        elif name not in self.server.existing:
            self._answer(404, {"message": "no such container"})
        else:
            self.server.existing.remove(name)
            self.server.removed.set()
            self._answer(204, None)

    def _path(self) -> list[str]:
        parts = urlsplit(self.path).path.strip("/").split("/")
        return parts[1:] if parts[0].startswith("v1.") else parts

    def _begin(self, call: str) -> None:
        self.server.calls.append(call)
        if call in self.server.slow:
            begun, go_on = self.server.slow[call]
            begun.set()
            assert go_on.wait(10), f"{call} was never let go"

    def _answer(self, status: int, content: object) -> None:
        encoded = b"" if status == 204 else json.dumps(content).encode()
        self.send_response(status)
        if encoded:
            self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


@pytest.fixture
def slow(tmp_path):
    with SlowEngine(tmp_path / "engine.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def engine_over(slow: SlowEngine) -> DockerEngine:
    address = Address(f"unix://{slow.server_address}")
    return DockerEngine(SETTINGS, Path("/nowhere/lock"), EngineApi(address, "1.41"), "slow")


async def begun(call: tuple[threading.Event, threading.Event]) -> None:
    assert await anyio.to_thread.run_sync(call[0].wait, 10)


@pytest.mark.parametrize("step", ["image", "create", "start"])
async def test_a_start_cancelled_by_its_scope_leaves_when_nothing_is_left(slow, step):
    engine, call = engine_over(slow), slow.hold(step)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(engine.start, "sb_1", TEMPLATE, 0, background=False))
            await begun(call)
            tasks.cancel_scope.cancel()
            call[1].set()
    assert not slow.existing


@pytest.mark.parametrize("step", ["create", "start"])
async def test_a_start_cancelled_as_a_native_task_leaves_when_nothing_is_left(slow, step):
    if sniffio.current_async_library() != "asyncio":
        pytest.skip("native tasks are asyncio's")
    engine, call = engine_over(slow), slow.hold(step)
    task = asyncio.ensure_future(engine.start("sb_1", TEMPLATE, 0, background=False))
    await begun(call)
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    call[1].set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not slow.existing


async def test_what_a_start_cancelled_twice_natively_leaves_is_an_orphan_and_can_be_removed(slow):
    """The second one ends the undoing, too: then it is for the census."""
    if sniffio.current_async_library() != "asyncio":
        pytest.skip("native tasks are asyncio's")
    engine, call = engine_over(slow), slow.hold("create")
    task = asyncio.ensure_future(engine.start("sb_1", TEMPLATE, 0, background=False))
    await begun(call)
    for _ in range(2):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
    assert task.done()
    call[1].set()
    assert await anyio.to_thread.run_sync(slow.created.wait, 10)
    await engine.remove_orphan("sb_1")
    assert not slow.existing


async def test_an_engine_that_hangs_keeps_a_cancelled_start_for_a_limited_time(slow, monkeypatch):
    monkeypatch.setattr("pool.docker_start._UNDO_S", 0.05)
    engine, call = engine_over(slow), slow.hold("create")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(engine.start, "sb_1", TEMPLATE, 0, background=False))
            await begun(call)
            tasks.cancel_scope.cancel()
    call[1].set()


async def test_a_removal_can_be_left_and_ends_by_itself(slow):
    engine = engine_over(slow)
    container = await engine.start("sb_1", TEMPLATE, 0, background=False)
    call = slow.hold("remove")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.destroy, container)
            await begun(call)
            tasks.cancel_scope.cancel()
    call[1].set()
    assert await anyio.to_thread.run_sync(slow.removed.wait, 10)
    container.close()


async def test_a_start_that_fails_removes_what_it_had_made_and_says_why(slow):
    slow.failing = {"start"}
    with pytest.raises(EngineError, match=r"starting a container: 500 told to fail") as raised:
        await engine_over(slow).start("sb_1", TEMPLATE, 0, background=False)
    assert raised.value.reason == "refused"
    assert not slow.existing


async def test_an_image_that_was_removed_is_looked_up_anew(slow):
    engine = engine_over(slow)
    slow.failing = {"create"}
    for lookups in (1, 2):
        with pytest.raises(EngineError) as raised:
            await engine.start("sb_1", TEMPLATE, 0, background=False)
        assert raised.value.reason == "image_missing"
        assert slow.calls.count("image") == lookups


async def test_a_removal_that_is_under_way_already_is_not_believed_before_the_container_is_gone(slow):
    engine = engine_over(slow)
    container = await engine.start("sb_1", TEMPLATE, 0, background=False)
    slow.conflicts = 2
    assert await engine.destroy(container)
    assert slow.calls.count("remove") == 3
    assert not slow.existing


async def test_what_the_engine_knows_no_more_it_has_neither_reached_nor_removed(slow):
    engine = engine_over(slow)
    container = await engine.start("sb_1", TEMPLATE, 0, background=False)
    assert await engine.reach(container)
    slow.existing.clear()
    assert not await engine.reach(container)
    assert not await engine.destroy(container)


async def test_a_removal_that_stays_under_way_has_failed_in_the_end(slow, monkeypatch):
    monkeypatch.setattr("pool.container_calls.REMOVE_TIMEOUT_S", 0.2)
    engine = engine_over(slow)
    container = await engine.start("sb_1", TEMPLATE, 0, background=False)
    slow.conflicts = 1000
    with pytest.raises(EngineError, match="in progress"):
        await engine.destroy(container)
    container.close()


async def test_an_engine_that_does_not_answer_in_time_is_named_so(slow, monkeypatch):
    monkeypatch.setattr(docker_start, "_CALL_TIMEOUT_S", 0.1)
    call = slow.hold("create")
    with pytest.raises(EngineError) as raised:
        await engine_over(slow).start("sb_1", TEMPLATE, 0, background=False)
    call[1].set()
    assert raised.value.reason == "engine_timeout"


async def test_the_first_bytes_of_a_stream_are_the_streams(slow):
    container = await engine_over(slow).start("sb_1", TEMPLATE, 0, background=False)
    await anyio.wait_readable(container.socket)
    assert container.socket.recv(100) == b"first bytes"
    container.close()


async def test_what_the_engine_paused_goes_on_before_it_is_removed(slow):
    # A gVisor that is paused hears no kill: the removal would fail for as long as it is.
    engine = engine_over(slow)
    paused, leased = [
        await engine.start(name, TEMPLATE, slot, background=False) for slot, name in enumerate(("sb_1", "sb_2"))
    ]
    await paused.freeze()
    await engine.destroy(paused)
    assert slow.calls[-3:] == ["pause", "unpause", "remove"]
    await leased.freeze()
    await leased.thaw()
    await engine.destroy(leased)
    assert slow.calls[-3:] == ["pause", "unpause", "remove"]


async def test_what_the_engine_paused_for_a_pool_that_died_goes_on_before_it_is_swept(slow):
    slow.existing.add("left")
    slow.calls.append("pause")
    assert await engine_over(slow).sweep() == 1
    assert slow.calls == ["pause", "unpause", "remove"]


async def test_one_container_that_will_not_go_does_not_end_the_sweep(slow):
    slow.existing = {"a", "b", "c"}
    slow.stubborn = {"a"}
    with pytest.raises(EngineError, match="1 of 3"):
        await engine_over(slow).sweep()
    assert slow.existing == {"a"}


@pytest.mark.parametrize(
    ("docker_host", "environment", "url"),
    [
        ("", {}, "unix:///var/run/docker.sock"),
        ("", {"DOCKER_HOST": "unix:///a/b.sock"}, "unix:///a/b.sock"),
        ("unix:///c.sock", {"DOCKER_HOST": "unix:///a/b.sock"}, "unix:///c.sock"),
        ("tcp://10.0.0.1:2375", {}, "http://10.0.0.1:2375"),
    ],
)
def test_the_engines_address_is_the_setting_or_the_environments(monkeypatch, docker_host, environment, url):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Address.of(docker_host).url == url


@pytest.mark.parametrize("docker_host", ["ssh://host", "tcp://host", "nonsense://x", "npipe:////./pipe/x"])
def test_an_address_that_leads_nowhere_is_refused(monkeypatch, docker_host):
    with pytest.raises(EngineError):
        Address.of(docker_host)


async def test_an_engine_that_is_not_there_is_an_engine_error(tmp_path):
    with pytest.raises(EngineError, match="No such file") as raised:
        await EngineApi.connect(Address(f"unix://{tmp_path}/none.sock"), 1.0)
    assert raised.value.reason == "engine_down"


async def test_the_older_of_the_two_versions_is_spoken(slow, monkeypatch):
    monkeypatch.setattr(engine_api, "_NEWEST", (1, 40))
    api, facts = await EngineApi.connect(Address(f"unix://{slow.server_address}"), 1.0)
    assert facts["Version"] == "slow"
    assert "/v1.40" in repr(api)
