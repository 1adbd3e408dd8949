"""`serve` as a process of its own: where it listens, whose rights it has, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from gateway.settings import GATEWAY_UID
from pool.fleet import Fleet
from pool.testing import fake_pool_daemon
from tests.gateway.launched import Launched, launched, start
from tests.gateway.served import PYTHON

TEMPLATES: list[dict[str, object]] = [PYTHON.model_dump()]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has root to give up")


@pytest.fixture
async def pool() -> AsyncIterator[tuple[Fleet, Path]]:
    """A daemon whose socket the gateway's user reaches; pytest's own directories it does not."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pool.sock"
        await anyio.Path(directory).chmod(0o755)
        async with fake_pool_daemon([PYTHON], path) as (_, fleet):
            if os.geteuid() == 0:
                os.chown(path, GATEWAY_UID, GATEWAY_UID)
            yield fleet, path


@pytest.fixture
async def gateway(pool: tuple[Fleet, Path]) -> AsyncIterator[Launched]:
    async with launched({"port": 0, "pool_socket": str(pool[1]), "drain_s": 5.0}, TEMPLATES) as one:
        await ready(one)
        yield one


async def ready(gateway: Launched) -> None:
    with anyio.fail_after(20):
        while (await gateway.http.get("/readyz")).status_code != 200:
            await anyio.sleep(0.01)


async def until_leased(fleet: Fleet, number: int) -> None:
    with anyio.fail_after(20):
        while fleet.stats().pools[0].leased != number:
            await anyio.sleep(0.01)


@needs_root
async def test_started_as_root_it_serves_without_any_right_of_root(gateway: Launched) -> None:
    lines = (await anyio.Path(f"/proc/{gateway.process.pid}/status").read_text()).splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert status["Uid"].split() == [str(GATEWAY_UID)] * 4
    assert status["Gid"].split() == [str(GATEWAY_UID)] * 4
    assert status["Groups"].split() == []
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert (await gateway.http.post("/v1/run", json={"language": "python", "code": "print 1"})).status_code == 200


async def test_once_it_listens_it_imports_nothing_and_opens_no_file(gateway: Launched) -> None:
    """A clone below /root is out of reach by then."""
    http = gateway.http
    sandbox = (await http.post("/v1/sandboxes", json={"language": "python", "metadata": {"é": "ü"}})).json()["id"]
    answers = [
        await http.get("/healthz"),
        await http.get("/readyz"),
        await http.get("/v1/pools"),
        await http.get("/metrics"),
        await http.get("/openapi.json"),
        await http.get("/docs"),
        await http.get("/v1/sandboxes"),
        await http.get(f"/v1/sandboxes/{sandbox}"),
        *[await http.post(f"/v1/sandboxes/{sandbox}/exec", json={"code": code}) for code in ("print é", "exit 1")],
        await http.post(f"/v1/sandboxes/{sandbox}/exec", json={"command": "print é", "cwd": "a", "timeout_s": 1}),
        await http.delete(f"/v1/sandboxes/{sandbox}"),
        await http.get(f"/v1/sandboxes/{sandbox}"),
        *[
            await http.post(
                "/v1/run", json={"language": "python", "code": code, "timeout_s": 0.1, "output_encoding": encoding}
            )
            for code in ("print é", "signal 11", "signal 40", "timeout", "die", "garbage", "")
            for encoding in ("utf-8", "base64")
        ],
        await http.post("/v1/run", json={"language": "cobol", "code": "x", "files": [{"path": "/é", "content": "=="}]}),
        await http.post("/v1/run", content=b'{"\xff'),
        await http.post("/v1/run", content=b"x" * (9 << 20)),
        await http.get("/é/%ff"),
        await http.patch("/v1/run"),
        await http.options("/v1/run"),
    ]
    assert all(answer.status_code != 500 for answer in answers)
    async with await anyio.connect_tcp("127.0.0.1", gateway.port) as stream:  # leaves while its code runs
        body = b'{"language": "python", "code": "hang"}'
        await stream.send(b"POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    async with await anyio.connect_tcp("127.0.0.1", gateway.port) as stream:
        await stream.send(b"no HTTP at all\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 400")
    gateway.process.send_signal(signal.SIGTERM)
    assert await gateway.end() == 0
    late = [line for line in gateway.lines if line.startswith("LATE")]
    assert [line for line in late if not line.startswith("LATE open /proc/")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_stop_it_finishes_what_runs_and_refuses_what_is_new(
    gateway: Launched, pool: tuple[Fleet, Path], number: signal.Signals
) -> None:
    finished: list[httpx.Response] = []

    async def run() -> None:
        body = {"language": "python", "code": "hang", "timeout_s": 0.5}
        finished.append(await gateway.http.post("/v1/run", json=body))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until_leased(pool[0], 1)
        gateway.process.send_signal(number)
        with anyio.fail_after(5):  # the signal and the next request are on two ways to it
            while (await gateway.http.get("/readyz")).json().get("code") != "draining":
                pass
        refused = await gateway.http.post("/v1/run", json={"language": "python", "code": "print 1"})
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert finished[0].json()["status"] == "timed_out"
    assert await gateway.end() == 0
    await until_leased(pool[0], 0)


async def test_what_is_not_finished_in_time_is_cut_off_and_told_so(pool: tuple[Fleet, Path]) -> None:
    async with launched({"port": 0, "pool_socket": str(pool[1]), "drain_s": 0.3}, TEMPLATES) as gateway:
        await ready(gateway)
        answers: list[httpx.Response] = []

        async def run() -> None:
            answers.append(await gateway.http.post("/v1/run", json={"language": "python", "code": "hang"}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await until_leased(pool[0], 1)
            gateway.process.send_signal(signal.SIGTERM)
        assert (answers[0].status_code, answers[0].json()["retryable"]) == (503, False)
        assert await gateway.end() == 0
    await until_leased(pool[0], 0)


async def test_a_second_signal_does_not_wait(gateway: Launched, pool: tuple[Fleet, Path]) -> None:
    async with anyio.create_task_group() as tasks:
        body = {"language": "python", "code": "hang", "timeout_s": 60}
        tasks.start_soon(lambda: gateway.http.post("/v1/run", json=body))
        await until_leased(pool[0], 1)
        gateway.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(5):
            while (await gateway.http.get("/readyz")).json().get("code") != "draining":
                pass
        gateway.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(4):  # drain_s is 5
            assert await gateway.process.wait() == 0


async def refused(settings: dict[str, object]) -> tuple[int, str]:
    async with await start(settings, TEMPLATES) as process:
        assert process.stderr is not None
        with anyio.fail_after(20):
            said = b"".join([chunk async for chunk in process.stderr])
            return await process.wait(), said.decode()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_without_keys_it_listens_on_loopback_only(host: str) -> None:
    status, said = await refused({"host": host, "port": 0})
    assert status == 2
    assert f"host {host!r} is {host}: without API keys the gateway listens on loopback only" in said


async def test_a_host_that_does_not_exist_is_named() -> None:
    status, said = await refused({"host": "no.such.host.invalid", "port": 0})
    assert (status, "'no.such.host.invalid'" in said) == (2, True)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = await refused({"port": port})
    assert status == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in said
