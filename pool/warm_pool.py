"""Keep as many frozen sandboxes of one template ready as demand needs, and lease each of them once.

Who owns what: `_sandboxes` holds every sandbox that is not GONE; a READY one is also in `_ready` and nowhere else; a
LEASED one belongs to the caller that took it, until `doom`. A waiter is woken, never handed anything: it takes for
itself.
All on one event loop: what happens between two awaits needs no lock.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from pool.backoff import Backoff
from pool.boot import BootFailed, boot
from pool.demand import ArrivalRate, BootTime
from pool.engine import Engine, EngineError
from pool.errors import Draining, PoolTimeout, PoolUnavailable, TooManyWaiting
from pool.health import EngineHealth
from pool.idle_watch import IdleWatch
from pool.invariants import Holdings
from pool.messages import FINISHED
from pool.refill import RefillRate, Returns, is_hopeless, retry_after_s
from pool.removal import Lanes, Removals
from pool.runtimes import RUNC, family
from pool.sandbox import Change, Observer, Sandbox, State
from pool.sizing import Demand, Size, size
from pool.stats import LONGEST_REASON, PoolSnapshot, SandboxView, Sizing, Totals
from pool.template import Template
from pool.traffic import Traffic
from pool.waiting import Priority, Waiter, WaitingLine

log = logging.getLogger(__name__)

#: Between two sandboxes that are not needed any more. Slow: demand often comes back, and a boot costs more than one.
_SHRINK_EVERY_S = 5.0
#: POLICY: so many requests under way at once, and half as many as the pool has sandboxes, are a burst.
_BURST = 8


@dataclass(slots=True)
class Shared:
    """What the pools of one host share. Owned by the fleet, which outlives them."""

    engine: Engine
    watch: IdleWatch
    traffic: Traffic
    boots: anyio.Semaphore  # containers that may be booting at once
    boots_at_once: int  # how many those are
    removals: Lanes  # containers that may be on their way out at once
    health: EngineHealth
    take_slot: Callable[[], int]
    free_slot: Callable[[int], None]
    born: Callable[[Sandbox], None]  # each begins its life by this
    somebody_waits: Callable[[], bool]  # for a sandbox of any pool
    hurry: Callable[[], None]  # every pool's boots: they keep turns from each other


class _Waiter(Waiter):
    """A caller in the queue. `wake` means: look again, there may be something for you."""

    __slots__ = ("displaced", "wake")

    def __init__(self, caller: str, priority: Priority) -> None:
        super().__init__(caller, priority)
        self.wake = anyio.Event()
        self.displaced = False  # another caller has its place


@dataclass(frozen=True, slots=True)
class Taken:
    """A sandbox that the caller now owns, thawed; times in seconds."""

    sandbox: Sandbox
    queue_s: float  # waited for one to be ready
    thaw_s: float


class WarmPool:
    """The sandboxes of one template. Use within `running()`."""

    def __init__(self, template: Template, shared: Shared, observe: Observer) -> None:
        self.template = template
        self.totals = Totals()
        self._shared = shared
        self._observe = observe
        self._sandboxes: set[Sandbox] = set()
        self._ready: list[Sandbox] = []  # last in, first out: the youngest has the warmest pages
        self._waiters: WaitingLine[_Waiter] = WaitingLine(template.max_waiting)
        self._refill_rate = RefillRate()
        self._returns = Returns()
        self._backoff = Backoff()
        self._arrivals = ArrivalRate()
        self._boot_time = BootTime()
        self._size = Size(template.target, "low")
        self._grown = anyio.Event()  # the target is above the template's
        self._short = anyio.Event()  # something the refiller should look at has changed
        self._changed = anyio.Event()  # any sandbox has moved
        self._draining = False
        self._over_in_s = 0.0  # the drain, once it has begun
        self._closing = anyio.Event()
        self._close_timeout_s = 0.0
        self._close_by = math.inf  # on the loop's clock
        self._removals = Removals(shared.engine, shared.removals, shared.health, on_quarantine=self._has_more_room)
        self._probe = anyio.Semaphore(1)  # boots after a failed one: one at a time, and on nobody else's turn
        self._growth: TaskGroup | None = None
        self._decay: TaskGroup | None = None

    def __repr__(self) -> str:
        numbers = f"{len(self._ready)}/{self._size.target} ready, {self._count(State.BOOTING)} booting"
        return f"<WarmPool {self.template.name} {numbers}, {len(self._waiters)} waiting>"

    # -- lifetime ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self, *, close_timeout_s: float) -> AsyncIterator[WarmPool]:
        """Fill, and serve until the end of the block; then destroy everything, leased ones too.

        That takes at most `close_timeout_s`, whatever the engine does: what could not be destroyed by then is logged
        and left to the next start's sweep.
        """
        self._close_timeout_s = close_timeout_s
        async with anyio.create_task_group() as self._decay:
            try:
                async with anyio.create_task_group() as self._growth:
                    self._growth.start_soon(self._refill)
                    self._growth.start_soon(self._retire_the_old)
                    self._growth.start_soon(self._shrink)
                    try:
                        yield self
                    finally:
                        self.close()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._all_gone()
                self._decay.cancel_scope.cancel()

    def drain(self, *, over_in_s: float) -> None:
        """Refuse new leases from now on; those who wait are refused, too, and told that it takes `over_in_s`."""
        self._draining = True
        self._over_in_s = over_in_s
        self._wake_waiters()

    def close(self) -> None:
        """Boot nothing more and doom everything there is. `running()` waits for it to be gone, for a limited time."""
        if self._closing.is_set():
            return
        self._draining = True
        self._over_in_s = self._close_timeout_s
        self._closing.set()
        self._close_by = anyio.current_time() + self._close_timeout_s
        self._removals.close_by(self._close_by)
        if self._growth is not None:
            self._growth.cancel_scope.cancel()
        self._wake_waiters()
        for sandbox in list(self._sandboxes):
            if sandbox.state in (State.READY, State.LEASED):
                self.doom(sandbox, "pool closing")

    async def _all_gone(self) -> None:
        with anyio.CancelScope(deadline=self._close_by):
            await self._until(lambda: not self._sandboxes)
        if self._sandboxes:
            left = sorted(map(repr, self._sandboxes))
            log.error("%r: not destroyed within %.0f s: %s", self, self._close_timeout_s, left)

    # -- leasing ----------------------------------------------------------------------------------------------------

    async def take(
        self,
        *,
        caller: str = "",
        priority: Priority = Priority.INTERACTIVE,
        wait_s: float | None = None,
        is_demand: bool = True,
    ) -> Taken:
        """A thawed sandbox that nobody else has or had; the owner must `doom` it in the end.

        Waits its turn among callers for at most `wait_s`, the template's where it is None; refused at once where that
        would be in vain. Cancelled at any point, it leaves no sandbox without an owner.

        `is_demand`: a request, which the pool's size follows and for which background work is put off.
        """
        wait_s = self.template.wait_s if wait_s is None else wait_s
        started = time.monotonic()
        if is_demand:
            self._shared.traffic.lease_arrived()
            self._arrivals.arrived(anyio.current_time())
            self._resize()
        self._refuse_what_is_hopeless(caller)
        sandbox = None if self._waiters else self._pop_ready()
        if not self._boot_may_wait():
            self._shared.traffic.look_again()
        outcome = "hit" if sandbox is not None else "waited"
        if sandbox is None:
            self._refuse_who_would_wait_in_vain(caller, priority, wait_s)
            sandbox = await self._wait_for_one(_Waiter(caller, priority), wait_s)
        if is_demand:
            self._shared.traffic.lease_began(sandbox.id)
        queue_s = time.monotonic() - started
        thaw_s = await self._thaw(sandbox)
        if sandbox.state is not State.LEASED:  # the pool closed while it thawed, and has doomed it
            self._refuse_what_is_hopeless(caller)
        self.totals.lease_outcomes[outcome] += 1
        self.totals.lease_seconds.observe(time.monotonic() - started)
        return Taken(sandbox, queue_s, thaw_s)

    async def _thaw(self, sandbox: Sandbox) -> float:
        assert sandbox.container is not None
        started = time.monotonic()
        try:
            await sandbox.container.thaw()
        except BaseException as error:
            if sandbox.state is State.LEASED:  # else a pool that closes has doomed it
                self.doom(sandbox, "not thawed")
            if isinstance(error, EngineError):
                self.totals.refused("unavailable")
                raise PoolUnavailable(f"{self!r}: {error}") from error
            raise
        thaw_s = time.monotonic() - started
        self.totals.thaw_seconds.observe(thaw_s)
        return thaw_s

    def doom(self, sandbox: Sandbox, reason: str) -> None:
        """End a sandbox; its owner must not touch it any more. Never waits: it is destroyed in the background."""
        assert self._decay is not None
        if sandbox.state is State.READY:
            self._ready.remove(sandbox)
            self._stop_watching(sandbox)
        self._shared.traffic.lease_ended(sandbox.id)
        sandbox.become(State.DOOMED, reason)
        if reason != FINISHED and sandbox.channel is not None:
            sandbox.channel.close()  # its other end has the gateway, if that lives
        self._decay.start_soon(self._destroy, sandbox)

    def _refuse_what_is_hopeless(self, caller: str) -> None:
        if self._draining:
            self.totals.refused("draining")
            raise Draining(f"{self!r}: shutting down", retry_after_s=self._over_in_s)
        if self._backoff.is_open and not self._ready:
            self.totals.refused("unavailable")
            # Not before the next attempt to boot one, and that takes a boot's time.
            next_s = self._backoff.remaining_s + self._boot_time.mean_s
            raise PoolUnavailable(f"{self!r}: {self._failing()}", retry_after_s=self._come_back(caller, next_s))

    def _refuse_who_would_wait_in_vain(self, caller: str, priority: Priority, wait_s: float) -> None:
        ahead = self._waiters.ahead_of(caller, priority) - len(self._ready)
        per_s = self._refill_rate.hopeful_per_s(anyio.current_time())
        if is_hopeless(ahead, per_s, wait_s):
            self.totals.refused("hopeless")
            found = f"{ahead} are first, and {per_s:.2g} become ready per second: not within {wait_s:g} s"
            raise PoolTimeout(f"{self!r}: {found}", retry_after_s=self._come_back(caller))

    async def _wait_for_one(self, waiter: _Waiter, wait_s: float) -> Sandbox:
        out = self._waiters.join(waiter)
        if out is waiter:
            raise self._too_many("queue_full", waiter.caller)
        if out is not None:
            out.displaced = True
            out.wake.set()
        self._short.set()
        self._shared.traffic.look_again()
        self._shared.hurry()
        try:
            self._wake_waiters()  # it may come before those who were woken
            with anyio.move_on_after(wait_s):
                while True:
                    await waiter.wake.wait()
                    waiter.wake = anyio.Event()
                    self._refuse_what_is_hopeless(waiter.caller)
                    if waiter.displaced:
                        raise self._too_many("displaced", waiter.caller)
                    if self._waiters.first() is waiter and (sandbox := self._pop_ready()):
                        self._waiters.serve(waiter)
                        return sandbox
        finally:
            self._waiters.leave(waiter)
            self._wake_waiters()  # the wake-up may have been meant for the next in line
        self.totals.lease_outcomes["timeout"] += 1
        raise PoolTimeout(f"{self!r}: nothing ready within {wait_s:g} s", retry_after_s=self._come_back(waiter.caller))

    def _too_many(self, reason: str, caller: str) -> TooManyWaiting:
        self.totals.refused(reason)
        who = "a caller with fewer has this one's place" if reason == "displaced" else "this one is one more"
        found = f"{self!r}: at most {self.template.max_waiting} may wait; {who}"
        return TooManyWaiting(found, retry_after_s=self._come_back(caller))

    def _come_back(self, caller: str, not_before_s: float = 0.0) -> float:
        """When `caller`, refused now, finds a sandbox: after those who wait, and those who were told so before."""
        now = anyio.current_time()
        before = len(self._waiters) + self._returns.ahead_of(caller, now)
        in_s = retry_after_s(before, self._refill_rate.cautious_per_s(now), not_before_s=not_before_s)
        self._returns.told(caller, now, in_s)
        return in_s

    def _pop_ready(self) -> Sandbox | None:
        while self._ready:
            sandbox = self._ready[-1]
            assert sandbox.channel is not None and sandbox.container is not None
            if not (sandbox.channel.is_quiet() and sandbox.container.is_alive()):
                self.doom(sandbox, "died while idle")
                continue
            self._ready.pop()
            self._stop_watching(sandbox)
            sandbox.become(State.LEASED, "taken")
            return sandbox
        return None

    def _wake_waiters(self) -> None:
        """The first in line, if there is something for it; when it leaves it wakes the next. All, if all is in vain."""
        self._look_at_the_refill()
        if self._draining or self._backoff.is_open:
            for waiter in self._waiters:
                waiter.wake.set()
        elif self._ready and (first := self._waiters.first()):
            first.wake.set()

    def _look_at_the_refill(self) -> None:
        """It is measured while it cannot be put off: from half of the target down, or while somebody waits."""
        few = self._room() > 0 and 2 * len(self._ready) < self._size.target
        wanted = bool(self._waiters) or (few and not self._boot_may_wait())
        self._refill_rate.look(anyio.current_time(), wanted=wanted)

    # -- refilling --------------------------------------------------------------------------------------------------

    def _missing(self) -> int:
        """How many more must boot, from what is wanted and what is there; never from counted events."""
        wanted = self._size.target + len(self._waiters)
        return min(wanted - len(self._ready) - self._count(State.BOOTING), self._room())

    def _room(self) -> int:
        """How many more there may be. What the engine will not remove takes none, until it is as many again as that."""
        quarantined = min(len(self._removals.quarantined), self.template.max_sandboxes)
        return self.template.max_sandboxes + quarantined - len(self._sandboxes)

    def _boot_may_wait(self) -> bool:
        """Nobody waits, and either enough is ready or a burst is being served, which boots would slow down."""
        if self._waiters:
            return False
        enough = self._ready and 2 * len(self._ready) >= self._size.target
        return bool(enough) or self._shared.traffic.young() >= max(_BURST, self._size.target // 2)

    def _removal_may_wait(self) -> bool:
        """Nobody waits, and there is room for a boot without it."""
        return not self._waiters and (self._boot_may_wait() or self._room() > 0)

    async def _refill(self) -> None:
        assert self._growth is not None
        while True:
            while self._missing() > 0:
                await self._backoff.wait()
                await self._shared.traffic.lull(self._boot_may_wait)
                turn = self._probe if self._backoff.failures else self._shared.boots
                await turn.acquire()
                if self._backoff.failures and turn is not self._probe:  # one has failed while we waited
                    turn.release()
                    continue
                if self._missing() <= 0:  # somebody stopped waiting while we did
                    turn.release()
                    break
                sandbox = Sandbox(
                    f"sb_{uuid.uuid4().hex}", self.template, self._shared.take_slot(), observe=self._on_change
                )
                self._sandboxes.add(sandbox)
                self._shared.born(sandbox)
                self._growth.start_soon(self._boot, sandbox, turn)
            await self._short.wait()
            self._short = anyio.Event()

    @property
    def somebody_waits(self) -> bool:
        return bool(self._waiters)

    def hurry(self) -> None:
        """Somebody waits: for one of those that boot in the background, or for their turn."""
        for sandbox in self._sandboxes:
            if sandbox.state is State.BOOTING and sandbox.container is not None:
                with suppress(EngineError):  # it has died, and its boot will say so
                    sandbox.container.to_foreground()

    async def _boot(self, sandbox: Sandbox, turn: anyio.Semaphore) -> None:
        try:
            await boot(self._shared.engine, sandbox, may_wait=lambda: not self._shared.somebody_waits())
            if sandbox.channel is None or not sandbox.channel.is_quiet():
                raise BootFailed("died", "the agent spoke or died between HELLO and the freeze")
        except (BootFailed, EngineError) as error:
            self.totals.boot_failures[error.reason] += 1
            self._backoff.failed(f"{error.reason}: {error}")
            log.warning("%r: boot failed (%d in a row): %s", self, self._backoff.failures, error)
            self.doom(sandbox, f"boot failed: {error.reason}")
            self._wake_waiters()
        except BaseException:
            self.doom(sandbox, "boot cancelled")
            raise
        else:
            self._backoff.succeeded()
            self._shared.health.worked()
            if self._closing.is_set():  # the engine's thread could not be cancelled, and came back with a container
                self.doom(sandbox, "pool closing")
                return
            self._ready.append(sandbox)
            sandbox.become(State.READY, "warm and frozen")
            self._shared.watch.add(sandbox.channel, lambda: self._died_while_idle(sandbox))
            self._wake_waiters()
        finally:
            turn.release()

    async def _retire_the_old(self) -> None:
        """Replace, one at a time, sandboxes that have been ready for longer than `max_idle_s`."""
        longest = self.template.max_idle_s
        while True:
            now = anyio.current_time()
            oldest = min((sandbox.since for sandbox in self._ready), default=now)
            await anyio.sleep(max(1.0, oldest + longest - now))
            old = [sandbox for sandbox in self._ready if sandbox.since + longest <= anyio.current_time()]
            if old and len(self._ready) >= self._size.target:
                self.doom(min(old, key=lambda sandbox: sandbox.since), "idle too long")

    def _resize(self) -> None:
        """Follow demand: up at once, and down as arrivals are forgotten."""
        low, high = self.template.target, self.template.highest_target
        if high <= low:
            return
        demand = Demand(self._arrivals.per_s(anyio.current_time()), self._boot_time.mean_s, self._shared.boots_at_once)
        before, self._size = self._size, size(demand, miss_target=self.template.miss_target, low=low, high=high)
        if self._size.target > before.target:
            self._short.set()
            self._grown.set()

    async def _shrink(self) -> None:
        """After a rise, until the pool is back at its least: end one sandbox at a time that is not needed any more."""
        while True:
            await self._grown.wait()
            while self._size.target > self.template.target or len(self._ready) > self._size.target:
                await anyio.sleep(_SHRINK_EVERY_S)
                self._resize()
                if len(self._ready) > self._size.target and not self._waiters:
                    self.doom(min(self._ready, key=lambda sandbox: sandbox.since), "more than demand needs")
            self._grown = anyio.Event()

    def _has_more_room(self) -> None:
        self._look_at_the_refill()
        self._short.set()

    def _died_while_idle(self, sandbox: Sandbox) -> None:
        if sandbox.state is State.READY:
            log.warning("%r died while idle", sandbox)
            self.doom(sandbox, "died while idle")

    # -- destroying -------------------------------------------------------------------------------------------------

    async def _destroy(self, sandbox: Sandbox) -> None:
        took_s = await self._removals.remove(sandbox, lambda: self._shared.traffic.lull(self._removal_may_wait))
        if took_s is None:
            return  # out of time: `running()` reports it
        self._sandboxes.discard(sandbox)
        self._shared.free_slot(sandbox.slot)
        self.totals.destroy_seconds.observe(took_s)
        sandbox.become(State.GONE, "removed")

    # -- looking ----------------------------------------------------------------------------------------------------

    def trouble(self) -> str | None:
        """What keeps this pool from leasing at once, or None."""
        if self._draining:
            return "draining"
        # With nothing to keep ready, nobody boots before a caller comes, who must be let in once the pause is over.
        # Else a pool whose boots fail is in trouble even with some left: there will be no others.
        boots_again = self._missing() > 0 or self._backoff.is_open
        if self._backoff.is_failing and boots_again:
            return self._failing()
        if trouble := self._shared.health.trouble:
            return trouble
        if (quarantined := len(self._removals.quarantined)) >= self.template.max_sandboxes:
            return f"{quarantined} sandboxes are quarantined: the engine does not remove them"
        if self._size.target > 0 and not self._ready and not self._count(State.LEASED):
            return f"0 of {self._size.target} ready, {self._count(State.BOOTING)} booting"
        return None

    def _failing(self) -> str:
        return f"{self._backoff.failures} boots failed in a row, the last with {self._backoff.last_failure}"

    def snapshot(self) -> PoolSnapshot:
        facts = self._shared.engine.facts()
        return PoolSnapshot(
            template=self.template.name,
            target=self._size.target,
            sizing=Sizing(
                because=self._size.because,
                low=self.template.target,
                high=self.template.highest_target,
                arrivals_per_s=self._arrivals.per_s(anyio.current_time()),
                boot_s=self._boot_time.mean_s,
            ),
            ready=len(self._ready),
            booting=self._count(State.BOOTING),
            leased=self._count(State.LEASED),
            doomed=self._count(State.DOOMED),
            quarantined=len(self._removals.quarantined),
            waiting=len(self._waiters),
            refill_per_s=self._refill_rate.cautious_per_s(anyio.current_time()),
            image=self._shared.engine.image(self.template),
            engine=facts.engine,
            freezer=facts.freezer,
            trouble=self.trouble(),
            lease_outcomes=dict(self.totals.lease_outcomes),
            refusals=dict(self.totals.refusals),
            boot_failures=dict(self.totals.boot_failures),
            histograms=self.totals.histograms(),
        )

    def holdings(self) -> Holdings:
        """What the book of the invariants must agree with, whenever a sandbox has moved."""
        return Holdings(alive=len(self._sandboxes), ready=len(self._ready))

    def views(self) -> list[SandboxView]:
        """Every sandbox that is not gone, the longest in its state first."""
        now = anyio.current_time()
        oldest_first = sorted(self._sandboxes, key=lambda sandbox: sandbox.since)
        return [
            SandboxView(id=one.id, state=one.state.value, seconds=round(now - one.since, 3), reason=self._why(one))
            for one in oldest_first
        ]

    def _why(self, sandbox: Sandbox) -> str:
        """Why it came into its state, and why it is still there."""
        if (refusal := self._removals.quarantined.get(sandbox)) is None:
            return sandbox.reason
        return f"{sandbox.reason}; not removed: {refusal}"[:LONGEST_REASON]

    def reachable(self) -> list[Sandbox]:
        """Those that the engine should reach now; none where their runtime tells the host nothing."""
        if family(self.template.runtime) != RUNC:
            return []
        return [sandbox for sandbox in self._sandboxes if sandbox.state in (State.READY, State.LEASED)]

    def ids(self) -> set[str]:
        """Of every sandbox that may exist as a container."""
        return {sandbox.id for sandbox in self._sandboxes}

    def _count(self, state: State) -> int:
        return sum(sandbox.state is state for sandbox in self._sandboxes)

    def _stop_watching(self, sandbox: Sandbox) -> None:
        with suppress(OSError):
            if sandbox.channel is not None:
                self._shared.watch.remove(sandbox.channel)

    def _on_change(self, change: Change) -> None:
        if change.old is State.BOOTING and change.new is State.READY:
            self.totals.boot_seconds.observe(change.seconds_in_old)
            self._boot_time.took(change.seconds_in_old)
            self._refill_rate.became_ready(anyio.current_time())
        self._look_at_the_refill()
        self._short.set()
        self._changed.set()
        self._changed = anyio.Event()
        self._observe(change)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()
