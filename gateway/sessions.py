"""Keep sandboxes for callers across requests, each until it is deleted, its time is over, or it dies.

The registry owns a sandbox's lease while it is READY. An exec owns it while it is RUNNING, and hands it back or, when
the sandbox was ended meanwhile, releases it. So each lease is released once, by whoever owns it at its end.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from gateway.attendance import Attended
from gateway.conduct import OomKills, Pool, conduct
from gateway.events import SESSION_CHANGED, RunNames
from gateway.intake import Plan, SandboxPlan
from gateway.interruptible import Interruptible
from gateway.metrics import Metrics
from gateway.pool_client import Lease
from gateway.problems import Problem, SandboxLost
from gateway.schema import SandboxAnswer
from pool.template import Template
from runners.execution import Outcome

log = logging.getLogger(__name__)

#: How long a sandbox that is gone is remembered. Contract.
_REMEMBERED_S = 600.0
#: How many are. About 200 bytes each; with more the oldest are forgotten early and answer 404 instead of 410.
_MOST_REMEMBERED = 10_000
#: At shutdown, for execs that were cut off to give their leases back. They wait for nothing; this is a backstop.
_CLOSE_WITHIN_S = 3.0


class State(enum.Enum):
    READY = "ready"  # nothing runs in it; the registry's
    RUNNING = "running"  # an exec's
    GONE = "gone"  # no longer in the registry; released, or about to be by its exec


_NEXT = {State.READY: {State.RUNNING, State.GONE}, State.RUNNING: {State.READY, State.GONE}, State.GONE: set[State]()}


@dataclass(slots=True, eq=False)
class Sandbox:
    """One session's sandbox."""

    lease: Lease
    oom_kills: OomKills
    template: Template
    env: Mapping[str, str]
    metadata: Mapping[str, str]
    created_at: datetime
    expires_at: datetime
    born: float  # on the registry's clock
    deadline: float
    state: State = State.READY
    exec: Attended | None = None
    ended: str = ""  # why it is GONE
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return self.lease.sandbox_id

    def become(self, state: State) -> None:
        if state not in _NEXT[self.state]:
            raise AssertionError(f"{self.id} cannot become {state.value} from {self.state.value}")
        self.state = state

    def answer(self) -> SandboxAnswer:
        return SandboxAnswer(
            id=self.id,
            language=self.template.name,
            status="running" if self.state is State.RUNNING else "ready",
            created_at=_rfc3339(self.created_at),
            expires_at=_rfc3339(self.expires_at),
            metadata=dict(self.metadata),
        )


class Sessions:
    """Every sandbox that is kept, and for ten minutes why one is not any more."""

    def __init__(self, pool: Pool, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._kept: dict[str, Sandbox] = {}
        self._running: set[Sandbox] = set()
        self._closing: asyncio.Event | None = None  # set when the last running one was handed back
        self._gone: OrderedDict[str, tuple[str, float]] = OrderedDict()  # reason, until when; oldest first

    def __repr__(self) -> str:
        return f"<Sessions {len(self._kept)} kept, {len(self._running)} running, {len(self._gone)} remembered>"

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, pool: Pool, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> AsyncIterator[Sessions]:
        """At the end of the block every sandbox is given back."""
        sessions = cls(pool, metrics, clock=clock)
        try:
            yield sessions
        finally:
            await sessions._close()

    def add(self, lease: Lease, plan: SandboxPlan) -> Sandbox:
        """Keep the leased sandbox; from here on the lease is the registry's."""
        now, born = datetime.now(UTC), self._clock()
        sandbox = Sandbox(
            lease=lease,
            oom_kills=OomKills(self._pool, lease),
            template=plan.template,
            env=plan.env,
            metadata=plan.metadata,
            created_at=now,
            expires_at=now + timedelta(seconds=plan.ttl_s),
            born=born,
            deadline=born + plan.ttl_s,
        )
        self._kept[sandbox.id] = sandbox
        self._arm(sandbox, plan.ttl_s)
        self._watch(sandbox)
        _log(sandbox, "created", "asked for", 0.0)
        return sandbox

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox; a `Problem` when it is gone (410) or not known (404)."""
        sandbox = self._kept.get(sandbox_id)
        if sandbox is not None and not self._overdue(sandbox):
            return sandbox
        self._forget()
        if sandbox_id in self._gone:
            raise _gone(sandbox_id, self._gone[sandbox_id][0])
        raise Problem(
            "not_found", f"there is no sandbox {sandbox_id[:64]!r}, and there was none in the last ten minutes"
        )

    def all(self) -> list[Sandbox]:
        """Oldest first."""
        return [sandbox for sandbox in list(self._kept.values()) if not self._overdue(sandbox)]

    def delete(self, sandbox_id: str) -> None:
        """End it, and what runs in it. Again is harmless; a `Problem` only if it was never known."""
        try:
            sandbox = self.get(sandbox_id)
        except Problem as problem:
            if problem.code != "sandbox_gone":
                raise
        else:
            self._end(sandbox, "deleted")

    async def execute(self, sandbox: Sandbox, plan: Plan, names: RunNames, attended: Attended) -> Outcome:
        """Run in it; a `Problem` while something else does. `attended` is the block this is called in."""
        if sandbox.exec is not None:
            raise Problem("sandbox_busy", f"an exec is running in {sandbox.id}")
        sandbox.become(State.RUNNING)  # ours, before anything is awaited
        sandbox.exec = attended
        self._running.add(sandbox)
        self._unwatch(sandbox)
        channel = Interruptible(sandbox.lease.channel)
        died: str | None = "died"
        try:
            outcome = await conduct(
                sandbox.lease, plan.execution, sandbox.template.cpus, sandbox.oom_kills, self._metrics, names, channel
            )
            if not outcome.sandbox_spent:
                died = None
            elif outcome.oom:
                died = "oom"
            return outcome
        except SandboxLost:
            raise
        except Problem:
            died = None  # nothing runs any more
            raise
        except anyio.get_cancelled_exc_class():
            if not sandbox.ended and await channel.interrupt():
                died = None
            raise
        finally:
            self._hand_back(sandbox, died)

    def _hand_back(self, sandbox: Sandbox, died: str | None) -> None:
        """The exec is over; `died` says why the sandbox cannot go on, if so."""
        self._running.discard(sandbox)
        if not self._running and self._closing is not None:
            self._closing.set()
        sandbox.exec = None
        if sandbox.state is State.GONE:
            self._pool.release(sandbox.lease, sandbox.ended)
            return
        sandbox.become(State.READY)
        if died is None and not sandbox.lease.channel.is_quiet():
            died = "died"  # it went on after its run's end; what came along with that end makes nothing readable
        if died is not None:
            self._end(sandbox, died)
        else:
            self._watch(sandbox)

    def _end(self, sandbox: Sandbox, reason: str) -> None:
        """The only way out of the registry."""
        del self._kept[sandbox.id]
        self._gone[sandbox.id] = (reason, self._clock() + _REMEMBERED_S)
        self._forget()
        if sandbox.timer is not None:
            sandbox.timer.cancel()
        running = sandbox.exec
        sandbox.become(State.GONE)
        sandbox.ended = reason
        _log(sandbox, "ended", reason, self._clock() - sandbox.born)
        if running is None:
            self._unwatch(sandbox)
            self._pool.release(sandbox.lease, reason)
        else:
            running.cut(_gone(sandbox.id, reason))  # and `_hand_back` releases

    # -- time -------------------------------------------------------------------------------------------------------

    def _overdue(self, sandbox: Sandbox) -> bool:
        """Asked whenever somebody looks, so that nobody meets a sandbox whose timer is late."""
        if self._clock() < sandbox.deadline:
            return False
        self._end(sandbox, "expired")
        return True

    def _arm(self, sandbox: Sandbox, delay_s: float) -> None:
        sandbox.timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer, sandbox)

    def _on_timer(self, sandbox: Sandbox) -> None:
        if not self._overdue(sandbox):  # the loop's clock and ours need not agree to the millisecond
            self._arm(sandbox, max(sandbox.deadline - self._clock(), 0.001))

    def _forget(self) -> None:
        now = self._clock()
        while self._gone:
            _, until = next(iter(self._gone.values()))
            if now < until and len(self._gone) <= _MOST_REMEMBERED:
                return
            self._gone.popitem(last=False)

    # -- an idle sandbox says nothing: one that does has died, or is not to be trusted --------------------------------

    def _watch(self, sandbox: Sandbox) -> None:
        asyncio.get_running_loop().add_reader(sandbox.lease.channel.fileno(), self._on_readable, sandbox)

    def _unwatch(self, sandbox: Sandbox) -> None:
        asyncio.get_running_loop().remove_reader(sandbox.lease.channel.fileno())

    def _on_readable(self, sandbox: Sandbox) -> None:
        if not sandbox.lease.channel.is_quiet():
            self._end(sandbox, "died")

    async def _close(self) -> None:
        for sandbox in list(self._kept.values()):
            self._end(sandbox, "shutdown")
        if self._running:
            self._closing = asyncio.Event()
            with anyio.move_on_after(_CLOSE_WITHIN_S, shield=True):
                await self._closing.wait()


def _gone(sandbox_id: str, reason: str) -> Problem:
    return Problem("sandbox_gone", f"sandbox {sandbox_id} is gone: {reason}", members={"reason": reason})


def _log(sandbox: Sandbox, change: str, reason: str, seconds: float) -> None:
    SESSION_CHANGED.log(
        log,
        sandbox=sandbox.id,
        template=sandbox.template.name,
        change=change,
        reason=reason,
        seconds=round(seconds, 3),
    )


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
