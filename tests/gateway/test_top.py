"""`petri top` in a real terminal, and `petri ps`, as programs of their own before a real gateway."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
import anyio.abc
import pytest

from pool.testing import must_fail
from tests.gateway.served import PYTHON, Served, serving

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HOME = "\x1b[H"
_ALTERNATE, _BACK = "\x1b[?1049h", "\x1b[?1049l"


@dataclass
class Terminal:
    """A terminal with `petri top` in it."""

    fd: int
    process: anyio.abc.Process
    seen: str = ""
    raw: bytes = field(default=b"", repr=False)

    async def until(self, *words: str) -> list[str]:
        """Lines of the first whole frame that has all of the words."""
        with anyio.fail_after(20):
            while True:
                for frame in self.seen.split(_HOME)[1:-1]:  # the last may be half drawn
                    lines = [_SEQUENCE.sub("", line).rstrip() for line in frame.split("\r\n")]
                    if all(any(word in line for line in lines) for word in words):
                        return lines
                await self.read()

    def forget(self) -> None:
        """What was drawn so far."""
        self.raw, self.seen = b"", ""

    async def read(self) -> None:
        await anyio.wait_readable(self.fd)
        self.raw += os.read(self.fd, 65536)
        self.seen = self.raw.decode(errors="replace")

    async def end(self) -> int:
        with anyio.fail_after(10):
            status = await self.process.wait()
            while _BACK not in self.seen:
                await self.read()
        return status

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "petri", *arguments]


def environ(tmp: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp), "TERM": "xterm", "LANG": "C.UTF-8"}


@asynccontextmanager
async def terminal(url: str, tmp: Path, columns: int = 80, lines: int = 24) -> AsyncIterator[Terminal]:
    """At the end the terminal must be as it was before."""
    fd, other = pty.openpty()
    before = termios.tcgetattr(other)
    process = await anyio.open_process(
        [sys.executable, "-c", _CHILD, *command("top", "--url", url)[1:]],
        stdin=other, stdout=other, stderr=other, env=environ(tmp), start_new_session=True,
    )  # fmt: skip
    one = Terminal(fd, process)
    one.resize(columns, lines)
    try:
        yield one
        assert termios.tcgetattr(other) == before
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(other)
        os.close(fd)


#: Its terminal must be its controlling one, or Ctrl-C would be nobody's.
_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
async def test_top_shows_pools_leases_and_runs_at_80_columns_and_leaves_the_terminal_as_it_was(
    served: Served, tmp_path: Path, key: bytes
) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    await served.sandbox()
    await served.run("print 1")
    await served.until(lambda: served.pool("python").ready == 2 and served.pool("python").doomed == 0)
    async with terminal(f"http://127.0.0.1:{served.port}", tmp_path) as top:
        lines = await top.until("runs/s")
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 24
        row = next(line.split() for line in lines if line.startswith("python"))
        assert row[:9] == ["python", "2", "2", "0", "1", "0", "0", "-", "100.0%"]
        titles = next(line for line in lines if "target" in line)
        assert titles.split()[:6] == ["target", "ready", "booting", "leased", "doomed", "queue"]
        assert any(line.split() == [] for line in lines)
        for status in ("succeeded", "timed_out", "output_limit", "lost"):
            assert any(status in line for line in lines), "no title is cut off"
        top.press(key)
        assert await top.end() == 0
        assert top.seen.index(_ALTERNATE) < top.seen.rindex(_BACK)


async def test_top_draws_anew_every_second_with_rates_and_follows_the_terminals_size(
    served: Served, tmp_path: Path
) -> None:
    async with terminal(f"http://127.0.0.1:{served.port}", tmp_path) as top:
        await top.until("runs/s")
        async with anyio.create_task_group() as tasks:
            runs = 0

            async def keep_running() -> None:
                nonlocal runs
                while True:
                    runs += (await served.run("print 1")).status_code == 200

            tasks.start_soon(keep_running)
            with anyio.fail_after(20):
                while True:
                    top.forget()
                    lines = await top.until("runs/s")
                    last = [line.split() for line in lines if line.startswith("python")][-1]
                    if re.fullmatch(r"[0-9]+\.[0-9]", last[1]):  # succeeded
                        break
            tasks.cancel_scope.cancel()
        assert runs
        top.resize(60, 12)
        with anyio.fail_after(20):
            while True:
                top.forget()
                lines = await top.until("petri top")
                if len(lines) <= 12 and max(map(len, lines)) <= 60:
                    break
        top.press(b"q")
        assert await top.end() == 0


async def test_top_goes_on_without_a_gateway_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        url = f"http://127.0.0.1:{served.port}"
        async with terminal(url, tmp_path) as top:
            await top.until("runs/s")
            for listener in served.server.servers:
                listener.close()
            for connection in list(served.server.server_state.connections):
                connection.shutdown()
            await top.until("no new numbers", "python")
            top.press(b"q")
            assert await top.end() == 0


async def run(tmp: Path, *arguments: str) -> tuple[int, str]:
    with anyio.fail_after(20):
        done = await anyio.run_process(command(*arguments), stdout=PIPE, stderr=STDOUT, check=False, env=environ(tmp))
    return done.returncode, done.stdout.decode()


async def test_top_once_prints_one_frame(served: Served, tmp_path: Path) -> None:
    await served.until(lambda: served.pool("python").ready == 2)
    status, said = await run(tmp_path, "top", "--once", "--url", f"http://127.0.0.1:{served.port}")
    assert status == 0
    assert said.count("petri top") == 1
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 80


async def test_top_says_what_troubles_a_pool(tmp_path: Path) -> None:
    async with serving(tmp_path, [PYTHON]) as served:
        served.engine.faults = must_fail("start", "no_image")
        for container in list(served.engine.containers.values()):
            container.die()
        await served.until(lambda: served.pool().ready == 0 and bool(served.pool().boot_failures))
        status, said = await run(tmp_path, "top", "--once", "--url", f"http://127.0.0.1:{served.port}")
    assert status == 0
    assert "boots failed in a row, the last with no_image" in " ".join(said.split())


@pytest.mark.parametrize("name", ["top", "ps"])
async def test_without_a_petri_it_says_how_to_start_one(tmp_path: Path, name: str) -> None:
    status, said = await run(tmp_path, name, "--url", "http://127.0.0.1:9")
    assert (status, said) == (1, "petri: no gateway answers at http://127.0.0.1:9; `petri up` starts one\n")


async def test_ps_shows_every_sandbox_of_the_pools_and_which_are_sessions(served: Served, tmp_path: Path) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    session = await served.sandbox()
    await served.until(lambda: served.pool("python").ready == 2)
    url = f"http://127.0.0.1:{served.port}"
    status, said = await run(tmp_path, "ps", "--json", "--url", url)
    assert status == 0, said
    found = json.loads(said)
    python = next(pool for pool in found["pools"] if pool["template"] == "python")
    assert {one["id"] for one in python["sandboxes"]} == {
        name for name, container in served.engine.containers.items() if container.template.name == "python"
    }
    assert sorted(one["state"] for one in python["sandboxes"]) == ["leased", "ready", "ready"]
    assert [one["id"] for one in found["sandboxes"]] == [session]
    status, said = await run(tmp_path, "ps", "--url", url)
    row = next(line.split() for line in said.splitlines() if line.startswith(session))
    assert (row[1], row[2], row[4], row[5]) == ("python", "leased", "taken", "ready")
    for name in served.engine.containers:
        assert name in said


async def test_the_sandboxes_of_a_template_that_there_is_not_are_404(served: Served) -> None:
    answer = await served.http.get("/v1/pools/cobol/sandboxes")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_language")


async def test_more_sandboxes_than_fit_into_one_packet_are_counted(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pool.daemon._SHOWN", 1)
    async with serving(tmp_path, [PYTHON]) as served:
        await served.until(lambda: served.pool().ready == 2)
        answer = (await served.http.get("/v1/pools/python/sandboxes")).json()
        assert (len(answer["sandboxes"]), answer["left_out"]) == (1, 1)
