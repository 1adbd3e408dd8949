"""The same lies behind real HTTP: the liar's caller is told, its sandbox is gone, and nobody else notices anything."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from pool import testing
from pool.testing import FakeAgent
from runners import execution
from runners.wire import Frame, Kind
from tests.fuzz.corpus import GROUPS, LIES, LOST, OUTPUT_LIMIT, STREAM_LIMIT, Lie, frame
from tests.gateway.served import PYTHON, Served, serving

LIAR = PYTHON.model_copy(
    update={"name": "liar", "stream_limit_kib": STREAM_LIMIT >> 10, "output_limit_kib": OUTPUT_LIMIT >> 10}
)
#: May write for as long as it lasts.
TALKER = PYTHON.model_copy(update={"name": "talker", "output_limit_kib": 1 << 40})

FLOODS = {
    "output byte by byte": frame(Kind.STDOUT, b"x"),
    "frames of output": frame(Kind.STDERR, bytes(32 << 10)),
}

_SOON_S = 0.05
_FLOODS_FOR_S = 5.0

#: Another process, as an agent is: writes the same bytes again and again, as fast as they are taken.
_FLOOD = """
import os, select, sys, time
fd, said, ends = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), time.monotonic() + float(sys.argv[3])
said *= (256 << 10) // len(said)
rest = said
while time.monotonic() < ends:
    select.select([], [fd], [], 0.1)
    try:
        rest = rest[os.write(fd, rest):] or said
    except BlockingIOError:
        pass
    except OSError:
        break
"""


class LyingAgent(FakeAgent):
    """Lies when an exec's environment says so: LIE names one of the corpus, FLOOD what it says without end."""

    async def _run(self, frame: Frame) -> bool:
        env = json.loads(frame.payload).get("env", {})
        if "LIE" in env:
            return await self._lie(LIES[env["LIE"]])
        if "FLOOD" in env:
            with _flooding(self._socket, FLOODS[env["FLOOD"]].hex()):
                await self._until_the_end()
        return await super()._run(frame)

    async def _lie(self, lie: Lie) -> bool:
        rest = lie.said
        while rest:
            await anyio.wait_writable(self._socket)
            rest = rest[self._socket.send(rest) :]
        if lie.leaves:
            self._socket.shutdown(socket.SHUT_RDWR)
        return not lie.leaves

    async def _until_the_end(self) -> None:
        while True:
            await self._receive()  # raises when the host has closed


class _flooding:
    def __init__(self, sock: socket.socket, said: str) -> None:
        self._arguments = [str(sock.fileno()), said, str(_FLOODS_FOR_S)]
        self._descriptor = sock.fileno()

    def __enter__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _FLOOD, *self._arguments], pass_fds=[self._descriptor])

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(testing, "FakeAgent", LyingAgent)
    monkeypatch.setattr(execution, "HOST_GRACE_S", _SOON_S)
    async with serving(tmp_path, (LIAR, TALKER, PYTHON)) as world:
        await world.until(lambda: all(world.pool(name).ready == 2 for name in ("liar", "talker", "python")))
        yield world


def request(lie: str) -> dict[str, object]:
    """Only the run that waits for its end needs a deadline that comes."""
    return {"code": "never read", "env": {"LIE": lie}, "timeout_s": _SOON_S if LIES[lie].status == "timed_out" else 5}


def check(answer: httpx.Response, lie: Lie) -> None:
    if lie.status == LOST:
        assert answer.status_code == 502, answer.text
        problem = answer.json()
        assert (problem["code"], problem["retryable"]) == (LOST, lie.refuses)
        assert len(problem["detail"]) < 400
        assert problem["detail"].isprintable()
        return
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert run["status"] == lie.status
    assert (run["exit_code"] is None) != (run["signal"] is None)
    assert len(run["stdout"]) <= STREAM_LIMIT
    assert len(run["stderr"]) <= STREAM_LIMIT


@pytest.mark.parametrize("group", GROUPS)
async def test_who_asks_for_a_liar_is_told_and_a_neighbour_notices_nothing(served: Served, group: str) -> None:
    """Each lie is told in a run of its own, beside a session that lives through all of them."""
    session = await served.sandbox()
    for name, lie in GROUPS[group].items():
        answers: list[httpx.Response] = []

        async def lied_to(name: str = name, answers: list[httpx.Response] = answers) -> None:
            answers.append(await served.http.post("/v1/run", json={"language": "liar", **request(name)}))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lied_to)
                beside = await served.exec(session, f"print {name}")
        assert beside.json()["output"] == f"{name}\n"
        check(answers[0], lie)
    await as_before(served, runs=len(GROUPS[group]))


@pytest.mark.parametrize("group", GROUPS)
async def test_a_session_with_a_liar_ends_and_one_with_an_odd_agent_goes_on(served: Served, group: str) -> None:
    for name, lie in GROUPS[group].items():
        session = await served.sandbox(language="liar")
        with anyio.fail_after(5):
            check(await served.http.post(f"/v1/sandboxes/{session}/exec", json=request(name)), lie)
            if lie.status != LOST and not lie.spent:
                assert (await served.exec(session, "print still")).json()["output"] == "still\n"
                await served.http.delete(f"/v1/sandboxes/{session}")
            else:
                while (answer := await served.http.get(f"/v1/sandboxes/{session}")).status_code == 200:
                    pass  # it is noticed when the rest of what it says arrives, without anybody asking for it
                assert (answer.status_code, answer.json()["reason"]) == (410, "died")
    await as_before(served, runs=len(GROUPS[group]))


async def as_before(served: Served, runs: int) -> None:
    await served.until(lambda: served.pool("liar").ready == 2)
    await served.until(lambda: served.pool("liar").doomed == 0)
    pool = served.pool("liar")
    assert (pool.leased, pool.booting, pool.trouble) == (0, 0, None)
    assert pool.lease_outcomes["hit"] + pool.lease_outcomes["waited"] == runs


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_at_the_hosts_deadline_and_does_not_hold_up_a_neighbour(served: Served, name: str) -> None:
    answers: list[httpx.Response] = []
    took_s = 0.0

    async def flooded() -> None:
        nonlocal took_s
        started = time.monotonic()
        body = {"language": "talker", "code": "x", "env": {"FLOOD": name}, "timeout_s": 1.0}
        answers.append(await served.http.post("/v1/run", json=body))
        took_s = time.monotonic() - started

    beside_s: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flooded)
        while not answers:
            started = time.monotonic()
            assert (await served.run("print beside")).json()["output"] == "beside\n"
            beside_s.append(time.monotonic() - started)
    assert answers[0].json()["status"] == "timed_out"
    assert took_s < 1.0 + _SOON_S + 1.0
    assert len(beside_s) > 5
    assert max(beside_s) < 1.0
