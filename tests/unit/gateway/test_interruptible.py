"""Ending an exec whose caller has gone, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from gateway import interruptible
from gateway.interruptible import Interruptible
from runners.channel import Channel, Transport
from runners.execution import Execution, execute
from runners.wire import Decoder, Frame, Kind, encode

EXIT = b'{"exit_code": null, "signal": 9}'


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def ends() -> Iterator[tuple[Interruptible, socket.socket]]:
    near, far = socket.socketpair()
    with Channel(near, Transport.RAW) as channel, far:
        far.setblocking(False)
        yield Interruptible(channel), far


@asynccontextmanager
async def cancelled_execute(channel: Interruptible, execution: Execution) -> AsyncIterator[None]:
    """The block runs while the run does; afterwards the run has been cancelled."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, channel, execution)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def test_a_run_that_ends_when_killed_leaves_the_channel_fit(ends: tuple[Interruptible, socket.socket]) -> None:
    channel, agent = ends
    async with cancelled_execute(channel, Execution(argv=["x"])):
        pass
    agent.send(encode(Frame(Kind.STDOUT, 1, b"its last words")) + encode(Frame(Kind.EXIT, 1, EXIT)))
    assert await channel.interrupt()
    frames = Decoder(from_agent=False).feed(agent.recv(65536))
    assert [frame.kind for frame in frames] == [Kind.EXEC, Kind.STDIN_END, Kind.SIGNAL]
    assert frames[-1] == Frame(Kind.SIGNAL, 1, b'{"signal":9}')


async def test_a_run_that_was_over_already_is_not_waited_for(ends: tuple[Interruptible, socket.socket]) -> None:
    channel, agent = ends
    agent.send(encode(Frame(Kind.EXIT, 1, EXIT)))
    await execute(channel, Execution(argv=["x"]))
    assert await channel.interrupt()
    assert Kind.SIGNAL not in [frame.kind for frame in Decoder(from_agent=False).feed(agent.recv(65536))]


async def test_nothing_is_ended_where_nothing_was_begun(ends: tuple[Interruptible, socket.socket]) -> None:
    assert await ends[0].interrupt()


async def test_an_agent_that_does_not_answer_in_time_is_given_up(
    ends: tuple[Interruptible, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruptible, "_END_WITHIN_S", 0.01)
    channel, _ = ends
    async with cancelled_execute(channel, Execution(argv=["x"])):
        pass
    assert not await channel.interrupt()


async def test_a_channel_inside_a_frame_is_given_up_at_once(ends: tuple[Interruptible, socket.socket]) -> None:
    channel, agent = ends
    async with cancelled_execute(channel, Execution(argv=["x"], stdin=b"x" * (4 << 20))):
        pass
    agent.recv(4 << 20)  # there is room again, so that only the half frame keeps it from speaking
    agent.send(encode(Frame(Kind.EXIT, 1, EXIT)))
    assert not await channel.interrupt()


@pytest.mark.parametrize("said", [encode(Frame(Kind.EXIT, 7, EXIT)), b"\xff" * 9, None])
async def test_an_agent_that_dies_or_lies_is_given_up(
    ends: tuple[Interruptible, socket.socket], said: bytes | None
) -> None:
    channel, agent = ends
    async with cancelled_execute(channel, Execution(argv=["x"])):
        pass
    if said is None:
        agent.shutdown(socket.SHUT_RDWR)
    else:
        agent.send(said)
    assert not await channel.interrupt()
