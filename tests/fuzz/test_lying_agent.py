"""A run over a channel whose agent lies: it ends in time, in a bounded memory, as what the host itself has seen."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from gateway.outcomes import status_of
from runners import execution
from runners.channel import Channel, ChannelClosed, Transport
from runners.execution import Execution, NotExecuted, Outcome, execute
from runners.wire import Kind, RunnerProtocolError
from tests.fuzz.corpus import LIES, LOST, OUTPUT_LIMIT, STREAM_LIMIT, Lie, exits, frame
from tests.fuzz.hostile_sockets import Endless, Scripted
from tests.fuzz.lawful import chunk

_SOON_S = 0.05


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return ("asyncio", {"use_uvloop": True}) if request.param == "uvloop" else request.param


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "HOST_GRACE_S", _SOON_S)


def run(**more: Any) -> Execution:
    limits = {"stream_limit": STREAM_LIMIT, "output_limit": OUTPUT_LIMIT}
    return Execution(argv=["x"], **(limits | {"timeout_s": 5.0} | more))


def channel_of(sock: Endless, transport: Transport = Transport.RAW) -> Channel:
    return Channel(cast(socket.socket, sock), transport)


def check(outcome: Outcome) -> None:
    """What any outcome promises."""
    assert (outcome.exit_code is None) != (outcome.signal is None)
    assert len(outcome.stdout) <= STREAM_LIMIT
    assert len(outcome.stderr) <= STREAM_LIMIT
    assert len(outcome.output) == len(outcome.stdout) + len(outcome.stderr)


@pytest.mark.parametrize("anyio_backend", ["uvloop"], indirect=True)
@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("name", LIES)
async def test_a_lie_is_found_out_or_does_no_harm(name: str, transport: Transport) -> None:
    lie = LIES[name]
    said = lie.said if transport is Transport.RAW else chunk(2, b"noise") + chunk(1, lie.said)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs, Channel(ours, transport) as channel:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say, theirs, said, lie.leaves)
            with anyio.fail_after(5):
                # Only the run that waits for its end needs a deadline that comes.
                await _meets(lie, channel, run(timeout_s=_SOON_S) if lie.status == "timed_out" else run())
            tasks.cancel_scope.cancel()


async def _meets(lie: Lie, channel: Channel, execution: Execution) -> None:
    if lie.status == LOST:
        with pytest.raises(NotExecuted if lie.refuses else (RunnerProtocolError, ChannelClosed)):
            await execute(channel, execution)
        return
    outcome = await execute(channel, execution)
    check(outcome)
    assert status_of(outcome) == lie.status
    spent = outcome.sandbox_spent or not channel.is_quiet()
    if lie.spent and not spent:  # the rest of what it says is still on its way
        with anyio.fail_after(2):
            while channel.is_quiet():
                await anyio.lowlevel.checkpoint()
    else:
        assert spent == lie.spent


async def say(sock: socket.socket, rest: bytes, leaves: bool) -> None:
    while rest:
        try:
            rest = rest[sock.send(rest[:50_000]) :]
        except BlockingIOError:
            await anyio.wait_writable(sock)
        except OSError:
            return
    if leaves:
        sock.shutdown(socket.SHUT_RDWR)


FLOODS: dict[str, tuple[bytes, Transport]] = {
    "output byte by byte": (frame(Kind.STDOUT, b"x"), Transport.RAW),
    "full frames of output": (frame(Kind.STDERR, bytes(64 << 10)), Transport.RAW),
    "output byte by byte through Docker": (chunk(1, frame(Kind.STDOUT, b"x")), Transport.DOCKER),
    "empty chunks": (chunk(1, b""), Transport.DOCKER),
    "the container's standard error": (chunk(2, b"x" * 1000), Transport.DOCKER),
    "empty chunks of standard error": (chunk(2, b""), Transport.DOCKER),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_neither_passes_the_deadline_nor_holds_up_the_others(name: str) -> None:
    said, transport = FLOODS[name]
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    started = time.monotonic()
    with channel_of(Endless(said, for_s=3.0), transport) as channel:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(another)
            outcome = await execute(channel, run(timeout_s=0.1, output_limit=1 << 50))
            tasks.cancel_scope.cancel()
    check(outcome)
    assert (outcome.timed_out, outcome.sandbox_spent) == (True, True)
    assert time.monotonic() - started < 1.0
    assert turns > 10  # 4 ms of flood between two of them on a slow day


@pytest.mark.parametrize("kind", [Kind.STDOUT, Kind.STDERR])
async def test_a_flood_of_empty_output_ends_at_its_first_frame(kind: Kind) -> None:
    with channel_of(Endless(frame(kind), for_s=3.0)) as channel:
        with pytest.raises(RunnerProtocolError, match="says nothing"):
            await execute(channel, run())


async def test_a_flood_that_takes_no_input_ends_at_the_output_limit_not_at_the_deadline() -> None:
    class Deaf(Endless):
        def send(self, encoded: bytes) -> int:
            raise BlockingIOError

    left, right = socket.socketpair()
    with left, right:
        deaf = Deaf(frame(Kind.STDOUT, b"x" * 1000), for_s=3.0)
        deaf.fileno = left.fileno  # type: ignore[method-assign]  # something to wait on that never can be written
        left.setblocking(False)
        while True:
            try:
                left.send(bytes(1 << 16))
            except BlockingIOError:
                break
        with channel_of(deaf) as channel, anyio.fail_after(3):
            outcome = await execute(channel, run(stdin=b"x" * 1000))
    assert (outcome.output_limit, outcome.signal, outcome.sandbox_spent) == (True, 9, True)


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], indirect=True)
async def test_a_channel_full_of_headers_rests_after_each_turn() -> None:
    """On a clock that only moves while everybody sleeps: without rests, this run never ends."""
    reads = 0

    class Counted(Endless):
        def recv(self, most: int, flags: int = 0) -> bytes:
            nonlocal reads
            reads += 1
            return super().recv(most, flags)

    with channel_of(Counted(frame(Kind.STDOUT, b"x"), for_s=3.0)) as channel:
        outcome = await execute(channel, run(timeout_s=0.5, output_limit=1 << 50))
    assert outcome.timed_out
    assert reads <= 2 * (0.5 + _SOON_S) / 0.005 + 2  # two reads a turn, 5 ms between two turns


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], indirect=True)
async def test_a_channel_with_large_frames_does_not_rest() -> None:
    said = frame(Kind.STDOUT, bytes(64 << 10)) * 100 + exits()
    with channel_of(Scripted(said, for_s=0.0)) as channel:
        started = anyio.current_time()
        await execute(channel, run(output_limit=1 << 50))
        assert anyio.current_time() == started


@pytest.mark.parametrize("garbage", [b"\0" * 8, b"\x03\0\0\0\0\0\0\x01x", b"\x01\0\x01\0\0\0\0\x01x"])
async def test_what_docker_did_not_send_ends_the_connection_after_what_it_did(garbage: bytes) -> None:
    with channel_of(Scripted(garbage, for_s=0.0), Transport.DOCKER) as channel:
        with pytest.raises(RunnerProtocolError, match="not an attach stream header"):
            await execute(channel, run())
    with channel_of(Scripted(chunk(1, exits()) + garbage, for_s=0.0), Transport.DOCKER) as channel:
        assert (await execute(channel, run())).exit_code == 0
        assert not channel.is_quiet()
        with pytest.raises(RunnerProtocolError, match="not an attach stream header"):
            await channel.receive()


MEMORY: dict[str, Callable[[], bytes]] = {
    "nothing but output": lambda: frame(Kind.STDOUT, bytes(64 << 10)) * 300,
    "output on both": lambda: (frame(Kind.STDOUT, bytes(5000)) + frame(Kind.STDERR, bytes(5000))) * 1200,
    "output byte by byte": lambda: frame(Kind.STDOUT, b"x") * 20_000 + exits(),
    "a megabyte less a byte": lambda: frame(Kind.DONE, bytes((1 << 20) - 1), length=1 << 20),
    "a report full of zeros": lambda: frame(
        Kind.EXIT, b'{"exit_code": 0, "signal": null, "x": [' + b"0," * 32_000 + b"0]}"
    ),
    "much after the end": lambda: exits() + frame(Kind.STDOUT, b"x") * 1_000_000,
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", MEMORY)
async def test_the_hosts_memory_is_bounded_by_what_it_keeps(name: str) -> None:
    """Of the output it keeps what the limits allow, twice (apart and together), and copies that at the end. Besides
    that there is one frame in two forms, and what one read brought."""
    limit = 256 << 10
    bound = 2 * (4 * limit) * 9 // 8 + 2 * (1 << 20) + (512 << 10)
    with channel_of(Scripted(MEMORY[name](), for_s=0.0)) as channel:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            try:
                outcome = await execute(channel, run(stream_limit=limit, output_limit=8 << 20))
            except (RunnerProtocolError, ChannelClosed):
                outcome = None
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    if outcome is not None:
        assert len(outcome.output) <= 2 * limit
    assert peak - before < bound
