"""Run one program or command over a channel, and say what became of it.

What the guest did is an `Outcome`. What went wrong on our side is an exception: `ChannelClosed` (nothing was sent),
`Died`, `RunnerProtocolError` (the sandbox is lost), `NotExecuted` (it is not, and nothing ran) or `StdinOverflow`.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
from pydantic_core import to_json

from runners.channel import ChannelClosed, encode_all
from runners.messages import AgentError, Exit, parse
from runners.wire import MAX_PAYLOAD_BYTES, Frame, Kind, RunnerProtocolError

#: How long after the run's own deadline the host waits for the agent to report it. The agent needs up to 100 ms to
#: drain the pipes and some to kill what is left. Callers are promised an answer by their deadline + 1 s, of which some
#: is for the host's counters and for the answer itself.
HOST_GRACE_S = 0.7

#: How much earlier than the host's deadline the agent's may come: its milliseconds are rounded, and in a virtual
#: machine it reads another clock. An agent that claims a timeout before that lies.
_CLOCKS_DIFFER_S = 0.05


_STDIN_OVERFLOW = "stdin_overflow"


class NotExecuted(Exception):
    """The agent refused the run and ran nothing; `code` is one of PROTOCOL.md's ERROR codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class StdinOverflow(Exception):
    """The guest left more of its standard input unread than the agent keeps, and was killed. The sandbox is well."""


class Died(ChannelClosed):
    """The channel ended during the run. `outcome` is what had come by then, taken as killed together with the agent."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A file to lie in the work directory before the run starts. `path` is relative to it."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Execution:
    """What to run: exactly one of `program` (a path among `files`, run by the language's worker) and `argv`."""

    program: str | None = None
    argv: Sequence[str] | None = None
    files: Sequence[ProgramFile] = ()
    stdin: bytes = b""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None  # relative to the work directory
    timeout_s: float = 10.0
    stream_limit: int = 1 << 20  # bytes kept of each of stdout and stderr
    output_limit: int = 8 << 20  # bytes of both together, after which the run is killed
    last: bool = False  # nothing else will run in this sandbox

    def frames(self, stream: int) -> list[Frame]:
        """EXEC, the files' bytes and the standard input, in the order the protocol wants."""
        message: dict[str, object] = {
            "files": [{"path": file.path, "size": len(file.content)} for file in self.files],
            "args": self.args,
            "env": self.env,
            "timeout_ms": round(self.timeout_s * 1000),
            "stream_limit": self.stream_limit,
            "output_limit": self.output_limit,
            "last": self.last,
        }
        if self.program is not None:
            message["program"] = self.program
        if self.argv is not None:
            message["argv"] = self.argv
        if self.cwd is not None:
            message["cwd"] = self.cwd
        frames = [Frame(Kind.EXEC, stream, to_json(message))]
        frames += _chunks(Kind.DATA, stream, b"".join(file.content for file in self.files))
        frames += _chunks(Kind.STDIN, stream, self.stdin)
        frames.append(Frame(Kind.STDIN_END, stream))
        return frames


def _chunks(kind: Kind, stream: int, content: bytes) -> list[Frame]:
    return [
        Frame(kind, stream, content[at : at + MAX_PAYLOAD_BYTES]) for at in range(0, len(content), MAX_PAYLOAD_BYTES)
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the guest did. Exactly one of `exit_code` and `signal` is set.

    `output` is standard output and error together, in order of arrival. `sandbox_spent`: the channel or the agent is
    not fit for another run. `overdue`: the agent had not reported an end when the host's patience ended. Times are
    seconds from the moment before the first byte was sent: until what the kernel took at once was sent, the first
    output came (None where there was none), and the end was known. `stdout` and `stderr` have at most the run's
    `stream_limit` each.
    """

    exit_code: int | None
    signal: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    output: bytes = b""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    timed_out: bool = False
    output_limit: bool = False
    oom: bool = False
    sandbox_spent: bool = False
    overdue: bool = False
    sent_s: float = 0.0
    first_byte_s: float | None = None
    duration_s: float = 0.0


class FrameStream(Protocol):
    """What a run needs of a `Channel`."""

    def new_stream(self) -> int: ...
    def send_now(self, encoded: bytes) -> bytes: ...
    async def send(self, encoded: bytes) -> None: ...
    async def receive(self) -> Frame: ...


async def execute(channel: FrameStream, execution: Execution) -> Outcome:
    """Run it and wait for its end, at most `timeout_s` plus `HOST_GRACE_S`.

    Whatever the agent does: what is kept of the output is within the limits, more output than `output_limit` ends it at
    once, and a report that the host's own numbers contradict is a `RunnerProtocolError`.

    Cancelled, it leaves the run going and the channel perhaps inside a frame: the caller owns the sandbox and dooms it.
    """
    collected = _Collected(execution, channel.new_stream())
    outcome: Outcome | None = None
    with anyio.move_on_after(execution.timeout_s + HOST_GRACE_S):
        unsent = channel.send_now(encode_all(execution.frames(collected.stream)))
        collected.sent()
        if not unsent:
            return await collected.until_exit(channel)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_send_rest, channel, unsent)
            try:
                # The sender finishes after the exit, too: half a frame would spoil the channel for the next run.
                outcome = await collected.until_exit(channel)
                if outcome.sandbox_spent:
                    tasks.cancel_scope.cancel()
            except (ChannelClosed, RunnerProtocolError, NotExecuted, StdinOverflow) as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if outcome is not None:
            return outcome
    if outcome is not None:  # ended, but the agent took no more of the standard input
        return replace(outcome, sandbox_spent=True)
    return collected.overdue()


async def _send_rest(channel: FrameStream, unsent: bytes) -> None:
    with contextlib.suppress(ChannelClosed):  # the receiver meets the same end, and reports it
        await channel.send(unsent)


class _Collected:
    """The output of one run while it comes in, under the host's own count of its limits."""

    def __init__(self, execution: Execution, stream: int) -> None:
        self.stream = stream
        self._execution = execution
        self._started = time.monotonic()
        self._sent_s = 0.0
        self._first_byte: float | None = None
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._output = bytearray()
        self._stdout_truncated = self._stderr_truncated = False
        self._received = 0  # bytes of output, kept or not

    def sent(self) -> None:
        """Now, as much as the kernel took at once."""
        self._sent_s = time.monotonic() - self._started

    async def until_exit(self, channel: FrameStream) -> Outcome:
        while True:
            try:
                frame = await channel.receive()
            except ChannelClosed as end:
                raise Died(str(end), self._cut_off()) from end
            if frame.stream != self.stream:
                raise RunnerProtocolError(f"{frame!r} on a stream that is not open")
            if frame.kind is Kind.STDOUT:
                self._stdout_truncated |= self._keep(self._stdout, frame)
            elif frame.kind is Kind.STDERR:
                self._stderr_truncated |= self._keep(self._stderr, frame)
            elif frame.kind is Kind.EXIT:
                exit_ = parse(Exit, frame)
                self._check(exit_)
                return self._ended(exit_)
            elif frame.kind is Kind.ERROR:
                error = parse(AgentError, frame)
                if error.code == _STDIN_OVERFLOW:
                    raise StdinOverflow(error.message)
                if self._received:
                    raise RunnerProtocolError(f"{frame!r}: nothing was run, after {self._received} bytes of output")
                raise NotExecuted(error.code, error.message)
            else:
                raise RunnerProtocolError(f"{frame!r} during a run")
            if self._received > self._execution.output_limit:
                return self._cut_off(output_limit=True)

    def _keep(self, stream: bytearray, frame: Frame) -> bool:
        """True when something had to be dropped. An honest agent stops at the limit itself; one that does
        not is cut here, so that the host's memory is bounded whatever the agent does."""
        if not frame.payload:  # would never come to an end: it counts toward no limit
            raise RunnerProtocolError(f"{frame!r} says nothing")
        if self._first_byte is None:
            self._first_byte = time.monotonic()
        self._received += len(frame.payload)
        kept = frame.payload[: self._execution.stream_limit - len(stream)]
        stream += kept
        self._output += kept
        return len(kept) < len(frame.payload)

    def _ended(self, exit_: Exit) -> Outcome:
        """What `exit_` and the host's own count say. An agent that sent more than it may is not fit for another run."""
        sent_too_much = self._stdout_truncated or self._stderr_truncated
        return Outcome(
            exit_code=exit_.exit_code,
            signal=exit_.signal,
            stdout=bytes(self._stdout),
            stderr=bytes(self._stderr),
            output=bytes(self._output),
            stdout_truncated=exit_.stdout_truncated or self._stdout_truncated,
            stderr_truncated=exit_.stderr_truncated or self._stderr_truncated,
            timed_out=exit_.timed_out,
            output_limit=exit_.output_limit,
            sandbox_spent=sent_too_much,
            sent_s=self._sent_s,
            first_byte_s=None if self._first_byte is None else self._first_byte - self._started,
            duration_s=time.monotonic() - self._started,
        )

    def _check(self, exit_: Exit) -> None:
        """Raises when `exit_` claims what the host would have seen, and did not."""
        ran_s = time.monotonic() - self._started
        if exit_.timed_out and ran_s < self._execution.timeout_s - _CLOCKS_DIFFER_S:
            raise RunnerProtocolError(f"EXIT: timed out after {ran_s:.3f} s of {self._execution.timeout_s:g} s")
        # Whatever an honest agent does not pass on, it drops because one of the limits was reached here, too.
        limit = min(self._execution.stream_limit, self._execution.output_limit)
        if exit_.output_limit and self._received < limit:
            raise RunnerProtocolError(f"EXIT: output limit met with {self._received} bytes of output")
        for truncated, stream in ((exit_.stdout_truncated, self._stdout), (exit_.stderr_truncated, self._stderr)):
            if truncated and not exit_.output_limit and len(stream) < limit:
                raise RunnerProtocolError(f"EXIT: output truncated after {len(stream)} of {limit} bytes")

    def overdue(self) -> Outcome:
        """The agent did not report an end in time: the host's deadline counts."""
        return replace(self._cut_off(timed_out=True), overdue=True)

    def _cut_off(self, *, timed_out: bool = False, output_limit: bool = False) -> Outcome:
        """The host ends the run, and destroying the sandbox is what kills it."""
        killed = Exit(exit_code=None, signal=signal.SIGKILL, timed_out=timed_out, output_limit=output_limit)
        return replace(self._ended(killed), sandbox_spent=True)
