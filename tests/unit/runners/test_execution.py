"""One run over a channel, with the agent's end played by the test: honest, lying, silent and gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import anyio
import pytest

from runners import execution
from runners.channel import Channel, ChannelClosed, Transport
from runners.execution import Execution, NotExecuted, ProgramFile, execute
from runners.wire import MAX_PAYLOAD_BYTES, Decoder, Frame, Kind, RunnerProtocolError, encode

HELLO = Execution(program="main.py", files=[ProgramFile("main.py", b"print(1)")], timeout_s=5.0, stream_limit=1000)


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return ("asyncio", {"use_uvloop": True}) if request.param == "uvloop" else request.param


class Agent:
    """The other end of a channel."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._decoder = Decoder(from_agent=False)
        self.heard: list[Frame] = []

    async def hear(self, number: int) -> list[Frame]:
        while len(self.heard) < number:
            await anyio.wait_readable(self._socket)
            self.heard += self._decoder.feed(self._socket.recv(1 << 20))
        return self.heard

    async def say(self, *frames: Frame) -> None:
        await self.say_bytes(b"".join(map(encode, frames)))

    async def say_bytes(self, rest: bytes) -> None:
        while rest:
            await anyio.wait_writable(self._socket)
            rest = rest[self._socket.send(rest) :]

    def leave(self) -> None:
        self._socket.close()


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Agent]]:
    ours, theirs = socket.socketpair()
    with Channel(ours, Transport.RAW) as channel, theirs:
        yield channel, Agent(theirs)


def exit_frame(stream: int = 1, **values: object) -> Frame:
    return Frame(Kind.EXIT, stream, json.dumps({"exit_code": 0, "signal": None, **values}).encode())


async def test_a_run_is_sent_as_exec_files_and_standard_input(ends):
    channel, agent = ends
    run = Execution(
        program="main.py",
        files=[ProgramFile("main.py", b"ab"), ProgramFile("d/x", b"cde")],
        stdin=b"in",
        args=["x"],
        env={"K": "V"},
        timeout_s=2.5,
        last=True,
    )
    await agent.say(exit_frame())
    await execute(channel, run)
    exec_, data, stdin, end = await agent.hear(4)
    message = json.loads(exec_.payload)
    assert message["files"] == [{"path": "main.py", "size": 2}, {"path": "d/x", "size": 3}]
    assert (message["program"], message["args"], message["env"]) == ("main.py", ["x"], {"K": "V"})
    assert (message["timeout_ms"], message["last"]) == (2500, True)
    assert "argv" not in message
    assert "cwd" not in message
    assert [(frame.kind, frame.payload) for frame in (data, stdin, end)] == [
        (Kind.DATA, b"abcde"),
        (Kind.STDIN, b"in"),
        (Kind.STDIN_END, b""),
    ]


async def test_output_is_kept_apart_and_in_order_of_arrival(ends):
    channel, agent = ends
    await agent.say(
        Frame(Kind.STDOUT, 1, b"a"), Frame(Kind.STDERR, 1, b"b"), Frame(Kind.STDOUT, 1, b"c"), exit_frame(exit_code=3)
    )
    outcome = await execute(channel, HELLO)
    assert (outcome.stdout, outcome.stderr, outcome.output, outcome.exit_code) == (b"ac", b"b", b"abc", 3)


async def test_content_larger_than_a_frame_arrives_in_pieces(ends):
    channel, agent = ends
    big = bytes(range(256)) * (MAX_PAYLOAD_BYTES // 256) + b"end"
    run = Execution(program="main.py", files=[ProgramFile("main.py", big)], stdin=big, timeout_s=5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, channel, run)
        heard = await agent.hear(6)
        await agent.say(exit_frame())
    assert b"".join(frame.payload for frame in heard if frame.kind is Kind.DATA) == big
    assert b"".join(frame.payload for frame in heard if frame.kind is Kind.STDIN) == big


async def test_an_exit_before_all_input_is_taken_does_not_spoil_the_channel(ends):
    channel, agent = ends
    run = Execution(argv=["true"], stdin=b"x" * (3 << 20), timeout_s=5.0)
    await agent.say(exit_frame())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.hear, 5)
        assert not (await execute(channel, run)).sandbox_spent
    await agent.say(exit_frame(stream=2, exit_code=7))
    assert (await execute(channel, HELLO)).exit_code == 7


async def test_an_agent_that_takes_no_input_leaves_a_spent_sandbox(ends, monkeypatch):
    monkeypatch.setattr(execution, "HOST_GRACE_S", 0.05)
    channel, agent = ends
    await agent.say(exit_frame())
    outcome = await execute(channel, Execution(argv=["true"], stdin=b"x" * (3 << 20), timeout_s=0.05))
    assert (outcome.exit_code, outcome.sandbox_spent) == (0, True)


async def test_a_lying_agent_that_ignores_the_limits_is_cut_by_the_host(ends):
    channel, agent = ends
    await agent.say(*[Frame(Kind.STDOUT, 1, b"x" * 700)] * 3, Frame(Kind.STDERR, 1, b"y"), exit_frame())
    outcome = await execute(channel, HELLO)
    assert (len(outcome.stdout), outcome.stdout_truncated) == (1000, True)
    assert (outcome.stderr, outcome.stderr_truncated) == (b"y", False)
    assert len(outcome.output) == 1001


async def test_a_silent_agent_is_overdue_at_the_hosts_own_deadline(ends, monkeypatch):
    monkeypatch.setattr(execution, "HOST_GRACE_S", 0.05)
    channel, agent = ends
    await agent.say(Frame(Kind.STDOUT, 1, b"so far"))
    outcome = await execute(channel, Execution(argv=["sleep"], timeout_s=0.05))
    assert (outcome.timed_out, outcome.signal, outcome.sandbox_spent) == (True, 9, True)
    assert outcome.stdout == b"so far"


async def test_an_agent_that_goes_away_is_a_closed_channel(ends):
    channel, agent = ends
    await agent.say(Frame(Kind.STDOUT, 1, b"a"))
    agent.leave()
    with pytest.raises(ChannelClosed):
        await execute(channel, HELLO)


async def test_an_agent_that_goes_away_while_input_is_sent_is_a_closed_channel(ends):
    channel, agent = ends
    with pytest.raises(ChannelClosed):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_leave_after_the_first_frame, agent)
            try:
                await execute(channel, Execution(argv=["cat"], stdin=b"x" * (8 << 20), timeout_s=5.0))
            except ChannelClosed as error:
                closed = error
        raise closed


async def _leave_after_the_first_frame(agent: Agent) -> None:
    await agent.hear(1)
    agent.leave()


async def test_a_refusal_says_that_nothing_ran(ends):
    channel, agent = ends
    await agent.say(Frame(Kind.ERROR, 1, b'{"code": "no_space", "message": "the disk is full"}'))
    with pytest.raises(NotExecuted, match="no_space: the disk is full") as refusal:
        await execute(channel, HELLO)
    assert refusal.value.code == "no_space"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"exit_code": null, "signal": null}',
        b'{"exit_code": 1, "signal": 9}',
        b'{"exit_code": 256, "signal": null}',
        b'{"exit_code": "0", "signal": null}',
        b'{"exit_code": 0, "signal": null, "duration_us": -1}',
        b'{"exit_code": 0, "signal": null, "duration_us": NaN}',
        b'{"exit_code": 0, "signal": null, "timed_out": 1}',
        b"[" * 60_000,
        b"\xff\xfe",
    ],
)
async def test_a_malformed_exit_ends_the_connection(ends, payload):
    channel, agent = ends
    await agent.say(Frame(Kind.EXIT, 1, payload))
    with pytest.raises(RunnerProtocolError, match="EXIT"):
        await execute(channel, HELLO)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Kind.STDOUT, 2, b"another stream's"),
        Frame(Kind.HELLO, 0, b"{}"),
        Frame(Kind.DONE, 1, b"{}"),
        Frame(Kind.ERROR, 0, b"{}"),
    ],
)
async def test_a_frame_out_of_order_ends_the_connection(ends, frame):
    channel, agent = ends
    await agent.say(frame)
    with pytest.raises(RunnerProtocolError):
        await execute(channel, HELLO)


async def test_garbage_after_good_frames_ends_the_connection_without_waiting_for_more(ends):
    channel, agent = ends
    await agent.say_bytes(encode(Frame(Kind.STDOUT, 1, b"a")) + b"\xff" * 20)
    with anyio.fail_after(2), pytest.raises(RunnerProtocolError, match="unknown frame kind"):
        await execute(channel, HELLO)


async def test_a_cancelled_receive_loses_no_frame(ends):
    channel, agent = ends
    with anyio.move_on_after(0.01):
        await channel.receive()
    await agent.say(Frame(Kind.STDOUT, 1, b"kept"))
    with anyio.fail_after(2):
        assert (await channel.receive()).payload == b"kept"
