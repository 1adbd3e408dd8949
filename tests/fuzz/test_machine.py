"""A stateful search: an agent that does anything at any time, against `execute` over a real socket pair.

The model says what must come of it; time is the loop's own and passes when a rule says so.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runners import execution
from runners.channel import Channel, Transport
from runners.execution import HOST_GRACE_S, Died, Execution, NotExecuted, Outcome, StdinOverflow, execute
from runners.wire import Kind, RunnerProtocolError
from tests.fuzz import corpus
from tests.fuzz.budget import examples
from tests.fuzz.lawful import chunk, cut

TIMEOUT_S = 10.0
STREAM_LIMIT, OUTPUT_LIMIT = 1000, 3000

#: What one step may make the host hold: a read and its frames, the limits' worth of output with copies, and the loop's
#: own objects. The largest frame (1 MiB) is not among the machine's.
_BOUND_BYTES = 1 << 20

_UNLAWFUL = [
    *sorted(name for name in corpus.REPORTS if name.startswith("an EXIT")),
    *sorted(corpus.KINDS | corpus.STREAMS),
    *("a second hello", "a file's end", "an exit too long", "empty output"),
]
few = st.lists(st.integers(0, 2**32), max_size=2)


class ClockedLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still unless it is moved on."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Until everything that can happen now has happened."""
        self.run_until_complete(_turns(25))


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def _may_end(machine: LyingAgent) -> bool:
    """Rules that end the run wait until there was something to end, or most runs would be over at once."""
    return machine.steps >= machine.talk and not machine.left


class LyingAgent(RuleBasedStateMachine):
    """`expected` is None while the run goes on, then what `execute` must have come to."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.loop = ClockedLoop()
        self.patch.setattr(execution, "time", SimpleNamespace(monotonic=self.loop.time))
        self.ends_at = self.loop.now + TIMEOUT_S + HOST_GRACE_S
        self.expected: type[Exception] | dict[str, object] | None = None
        self.kept = {Kind.STDOUT: 0, Kind.STDERR: 0}
        self.received = 0
        self.dropped = False
        self.left = self.broken = False
        self.spoke_after_the_end = False
        self.rest = b""  # of a frame that is half said

    @initialize(transport=st.sampled_from(Transport), talk=st.integers(0, 5))
    def begin(self, transport: Transport, talk: int) -> None:
        ours, self.agent = socket.socketpair()
        self.agent.setblocking(False)
        self.talk, self.steps = talk, 0
        self.docker = transport is Transport.DOCKER
        self.channel = Channel(ours, transport)
        limits = Execution(argv=["x"], timeout_s=TIMEOUT_S, stream_limit=STREAM_LIMIT, output_limit=OUTPUT_LIMIT)
        self.run = self.loop.create_task(execute(self.channel, limits))
        self.loop.settle()

    def teardown(self) -> None:
        try:
            if hasattr(self, "run"):
                self.time_passes(TIMEOUT_S + 2 * HOST_GRACE_S)
                self.it_is_what_the_model_says()
                self.nothing_is_missed_of_what_comes_after_the_end()
                self.agent.close()
                self.channel.close()
        finally:
            self.loop.close()
            self.patch.undo()

    # -- what the agent does -----------------------------------------------------------------------------------------

    @precondition(lambda self: not self.left)
    @rule(kind=st.sampled_from([Kind.STDOUT, Kind.STDERR]), size=st.integers(1, 900), at=few)
    def prints(self, kind: Kind, size: int, at: list[int]) -> None:
        self._says(corpus.frame(kind, b"x" * size), at)
        if self._goes_on():
            self._was_printed(kind, size)

    @precondition(_may_end)
    @rule(
        code=st.integers(0, 255) | st.none(), claim=st.sampled_from([None, None, "timed_out", "output_limit"]), at=few
    )
    def ends(self, code: int | None, claim: str | None, at: list[int]) -> None:
        signal = 9 if code is None else None
        timed_out, limit = claim == "timed_out", claim == "output_limit"
        report = {"exit_code": code, "signal": signal, "timed_out": timed_out, "output_limit": limit}
        self._says(corpus.frame(Kind.EXIT, json.dumps(report).encode()), at)
        if self._goes_on():
            early = self.loop.now < self.ends_at - HOST_GRACE_S - 0.05
            if (timed_out and early) or (limit and self.received < STREAM_LIMIT):
                self.expected = RunnerProtocolError
            else:
                self.expected = report | {"sandbox_spent": self.dropped}

    @precondition(_may_end)
    @rule(code=st.sampled_from(["busy", "too_large", "stdin_overflow", "worker_failed", "tomorrow"]), at=few)
    def refuses(self, code: str, at: list[int]) -> None:
        self._says(corpus.frame(Kind.ERROR, json.dumps({"code": code, "message": "no"}).encode()), at)
        if self._goes_on():
            refused = RunnerProtocolError if self.received else NotExecuted
            self.expected = StdinOverflow if code == "stdin_overflow" else refused

    @precondition(_may_end)
    @rule(name=st.sampled_from(_UNLAWFUL), at=few)
    def says_what_is_not_lawful(self, name: str, at: list[int]) -> None:
        self._says(corpus.LIES[name].said, at)
        if self._goes_on():
            self.expected = RunnerProtocolError

    @precondition(lambda self: not self.left and not self.rest)
    @rule(kept_back=st.integers(1, 100))
    def says_half(self, kept_back: int) -> None:
        """The other half comes before whatever is said next, if anything is."""
        whole = corpus.frame(Kind.STDOUT, b"x" * 100)
        self._sends(whole[:-kept_back])
        self.rest = whole[-kept_back:]
        self.spoke_after_the_end |= self.expected is not None

    @precondition(_may_end)
    @rule()
    def leaves(self) -> None:
        self.agent.shutdown(socket.SHUT_RDWR)
        self.left = True
        self.loop.settle()
        if self._goes_on():
            self.expected = Died

    @rule(seconds=st.floats(0.01, 3.0))
    def time_passes(self, seconds: float) -> None:
        self.steps += 1
        self.loop.now += seconds
        self.loop.settle()
        if self._goes_on() and self.loop.now >= self.ends_at:
            self.expected = {"timed_out": True, "output_limit": False, "signal": 9, "sandbox_spent": True}

    def _says(self, said: bytes, at: list[int]) -> None:
        self.steps += 1
        if self.rest:
            rest, self.rest = self.rest, b""
            self._sends(rest)
            if self._goes_on():
                self._was_printed(Kind.STDOUT, 100)
        self.spoke_after_the_end |= self.expected is not None
        for piece in cut(said, at):
            self._sends(piece)

    def _was_printed(self, kind: Kind, size: int) -> None:
        self.received += size
        fits = min(size, STREAM_LIMIT - self.kept[kind])
        self.kept[kind] += fits
        self.dropped |= fits < size
        if self.received > OUTPUT_LIMIT:
            self.expected = {"output_limit": True, "timed_out": False, "signal": 9, "sandbox_spent": True}

    def _sends(self, piece: bytes) -> None:
        if not piece:
            return
        said = chunk(2, b"noise") + chunk(1, piece) if self.docker else piece
        tracemalloc.start()
        try:
            taken = self.agent.send(said)
            self.loop.settle()
            assert taken == len(said) or self.run.done()
            assert tracemalloc.get_traced_memory()[1] < _BOUND_BYTES
        except BlockingIOError:
            assert self.run.done()  # nobody reads any more
        finally:
            tracemalloc.stop()

    def _goes_on(self) -> bool:
        return self.expected is None

    # -- what must be so ---------------------------------------------------------------------------------------------

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        if not hasattr(self, "run"):
            return
        if self.expected is None:
            assert not self.run.done(), self.run
            return
        assert self.run.done(), self.expected
        if isinstance(self.expected, type):
            assert type(self.run.exception()) is self.expected
            return
        outcome = self.run.result()
        assert isinstance(outcome, Outcome)
        assert {name: getattr(outcome, name) for name in self.expected} == self.expected
        assert (len(outcome.stdout), len(outcome.stderr)) == (self.kept[Kind.STDOUT], self.kept[Kind.STDERR])
        assert len(outcome.output) == len(outcome.stdout) + len(outcome.stderr)
        assert (outcome.stdout_truncated or outcome.stderr_truncated) == self.dropped
        assert (outcome.exit_code is None) != (outcome.signal is None)

    def nothing_is_missed_of_what_comes_after_the_end(self) -> None:
        """Who keeps the sandbox looks whether it is quiet, and must see whatever was said."""
        if isinstance(self.expected, dict) and not self.expected["sandbox_spent"]:
            assert self.channel.is_quiet() == (not self.spoke_after_the_end and not self.left)


LyingAgent.TestCase.settings = examples(120, stateful_step_count=15)
TestLyingAgent = LyingAgent.TestCase
