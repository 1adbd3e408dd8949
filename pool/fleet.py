"""One warm pool per template over one engine, and who holds which lease."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio

from pool.engine import Engine, EngineError, Usage
from pool.errors import PoolUnavailable, UnknownTemplate
from pool.events import sandbox_moved
from pool.health import EngineHealth
from pool.idle_watch import IdleWatch
from pool.invariants import Invariants
from pool.removal import Lanes
from pool.sandbox import Change, Observer, Sandbox, State
from pool.settings import PoolSettings
from pool.slots import Slots
from pool.stats import PoolSnapshot, PoolStats, SandboxView
from pool.template import Template
from pool.traffic import Traffic
from pool.waiting import Priority
from pool.warm_pool import Shared, WarmPool

log = logging.getLogger(__name__)

#: How often the engine is asked for containers that we do not know: a call whose answer was lost may have made one. An
#: answer costs the engine a listing, 2 ms.
_CENSUS_S = 5.0
#: The same for containers of pools that died meanwhile.
_SWEEP_EVERY_S = 30.0
#: For the sweep at the start. What does not go in this time would keep callers waiting: it is tried again
#: soon, and until then.
_SWEEP_S = 5.0
_SWEEP_AGAIN_S = 3.0
#: What callers are told to wait after a violated invariant: somebody has to start the pool again.
_AFTER_A_VIOLATION_S = 30.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive, one-time right to one sandbox, until `Fleet.end`."""

    id: str
    sandbox: Sandbox
    queue_s: float
    thaw_s: float


class Fleet:
    """Leases by template name. Owns every lease until it is ended; use within `running()`."""

    def __init__(
        self,
        engine: Engine,
        templates: Sequence[Template],
        settings: PoolSettings,
        observers: Sequence[Observer] = (),
        held_back: Collection[str] = (),
    ) -> None:
        """`held_back`: names of templates that fill up as the others do, but are not leased before their `release`."""
        self._engine = engine
        self._held_back = set(held_back)
        self._settings = settings
        self._observers = observers
        self._slots = Slots()
        self._invariants = Invariants(lambda template: self._pools[template].holdings())
        self._watch = IdleWatch()
        self._health = EngineHealth(engine)
        shared = Shared(
            engine=engine,
            watch=self._watch,
            traffic=Traffic(),
            boots=anyio.Semaphore(settings.boots_at_once),
            boots_at_once=settings.boots_at_once,
            removals=Lanes.of(settings.destroys_at_once),
            health=self._health,
            take_slot=self._slots.take,
            free_slot=self._slots.free,
            born=self._invariants.born,
            somebody_waits=lambda: any(pool.somebody_waits for pool in self._pools.values()),
            hurry=self._hurry,
        )
        self._pools: Mapping[str, WarmPool] = {
            template.name: WarmPool(template, shared, self._on_change) for template in templates
        }
        self._leases: dict[str, Lease] = {}
        self._unwanted = 0
        self._is_swept = False
        self._none_leased = anyio.Event()

    def __repr__(self) -> str:
        return f"<Fleet {len(self._leases)} leases, {list(self._pools.values())!r}>"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fleet]:
        """Sweep what dead pools left, fill, and serve until the end of the block."""
        with anyio.move_on_after(_SWEEP_S) as sweeping:
            await self._sweep()
        if sweeping.cancelled_caught:
            log.warning("sweeping took more than %g s, and goes on later", _SWEEP_S)
        with self._watch:
            async with anyio.create_task_group() as tasks, AsyncExitStack() as pools:
                tasks.start_soon(self._watch.run)
                tasks.start_soon(self._keep_sweeping)
                tasks.start_soon(self._keep_taking_census)
                tasks.start_soon(self._health.watch, self._reachable, self._end_unreachable)
                for pool in self._pools.values():
                    await pools.enter_async_context(pool.running(close_timeout_s=self._settings.close_s))
                try:
                    yield self
                finally:
                    for pool in self._pools.values():
                        pool.close()
                    tasks.cancel_scope.cancel()

    def _hurry(self) -> None:
        for pool in self._pools.values():
            pool.hurry()

    def release(self, template: str) -> None:
        """Lease what was held back."""
        self._held_back.discard(template)

    async def lease(
        self,
        template: str,
        *,
        caller: str = "",
        priority: Priority = Priority.INTERACTIVE,
        wait_s: float | None = None,
        held_back: bool = False,
    ) -> Lease:
        """A lease on a thawed sandbox of `template`; raises a `PoolError`. Must be ended.

        Waits for at most `wait_s` (None: the template's), in turn with other callers. `held_back`: even of a template
        that is, and not as demand: nothing is put off for it, nor does the pool grow.
        """
        pool = self._pool(template)
        if template in self._held_back and not held_back:
            pool.totals.refused("unavailable")
            raise PoolUnavailable(f"{pool!r}: {self._snapshot(pool).trouble}")
        self._refuse_after_a_violation(pool)
        taken = await pool.take(caller=caller, priority=priority, wait_s=wait_s, is_demand=not held_back)
        lease = Lease(uuid.uuid4().hex, taken.sandbox, taken.queue_s, taken.thaw_s)
        self._leases[lease.id] = lease
        self._invariants.handed_out(lease.sandbox, lease.id)
        try:
            self._refuse_after_a_violation(pool)  # in its own hand-out, or while it waited
        except PoolUnavailable:
            self.end(lease.id, "invariant violated")
            raise
        return lease

    def _refuse_after_a_violation(self, pool: WarmPool) -> None:
        if trouble := self._invariants.trouble:
            pool.totals.refused("unavailable")
            raise PoolUnavailable(f"{pool!r}: {trouble}", retry_after_s=_AFTER_A_VIOLATION_S)

    def _pool(self, template: str) -> WarmPool:
        pool = self._pools.get(template)
        if pool is None:
            raise UnknownTemplate(f"no template {template!r}; there are {', '.join(sorted(self._pools))}")
        return pool

    def end(self, lease_id: str, reason: str) -> None:
        """End a lease: its sandbox is destroyed in the background. A lease that has ended already is left alone."""
        lease = self._leases.pop(lease_id, None)
        if lease is None:
            return
        self._invariants.given_back(lease.sandbox)
        if lease.sandbox.state is State.LEASED:  # a closing pool has doomed it already
            self._pools[lease.sandbox.template.name].doom(lease.sandbox, reason)
        if not self._leases:
            self._none_leased.set()
            self._none_leased = anyio.Event()

    async def usage(self, lease_id: str) -> Usage:
        """The host's counters for a leased sandbox; a `KeyError` for a lease that has ended."""
        container = self._leases[lease_id].sandbox.container
        assert container is not None
        return await container.usage()

    async def drain(self) -> None:
        """Refuse new leases, and wait for those there are, at most `drain_s`."""
        for pool in self._pools.values():
            pool.drain(over_in_s=self._settings.drain_s)
        with anyio.move_on_after(self._settings.drain_s):
            while self._leases:
                await self._none_leased.wait()
        if self._leases:
            log.warning("%d leases were still held after %.0f s", len(self._leases), self._settings.drain_s)

    def stats(self) -> PoolStats:
        return PoolStats(
            pools=tuple(map(self._snapshot, self._pools.values())),
            unwanted=self._unwanted,
            invariant_violations=self._invariants.violations,
        )

    def sandboxes(self, template: str) -> list[SandboxView]:
        """Every sandbox of one template, for an operator; raises `UnknownTemplate`."""
        return self._pool(template).views()

    def _snapshot(self, pool: WarmPool) -> PoolSnapshot:
        found = pool.snapshot()
        if trouble := self._invariants.trouble:
            return found.model_copy(update={"trouble": trouble})
        if found.trouble is None and pool.template.name in self._held_back:
            return found.model_copy(update={"trouble": "its self-check is not over yet"})
        return found

    async def take_census(self) -> None:
        """Compare the engine's containers with those we know."""
        # Known ones before and after: a sandbox that comes or goes meanwhile is not unwanted.
        known = self._known()
        found = await self._engine.ours()
        unwanted = found - known - self._known()
        if unwanted:
            log.error("%d containers with our label are not ours: %s", len(unwanted), sorted(unwanted))
        self._unwanted = len(unwanted)
        for sandbox_id in unwanted:  # a start that was cancelled while the engine did not answer may leave one
            try:
                await self._engine.remove_orphan(sandbox_id)
            except EngineError as error:  # the others are to go all the same
                log.warning("container of %s, which is not ours, was not removed: %s", sandbox_id, error)
        if unwanted:  # asked, not concluded: what another boot of this pool made is not removed here
            self._unwanted = len(unwanted & await self._engine.ours())

    async def _keep_taking_census(self) -> None:
        while True:
            await anyio.sleep(_CENSUS_S)
            try:
                await self.take_census()
            except EngineError as error:
                log.warning("could not count containers: %s", error)

    async def _keep_sweeping(self) -> None:
        """Of siblings that died since, and what would not go the last time."""
        while True:
            await anyio.sleep(_SWEEP_EVERY_S if self._is_swept else _SWEEP_AGAIN_S)
            await self._sweep()

    async def _sweep(self) -> None:
        self._is_swept = False
        try:
            swept = await self._engine.sweep()
        except EngineError as error:
            log.warning("could not sweep: %s", error)
            return
        self._is_swept = True
        if swept:
            log.info("removed %d containers that belonged to no living pool", swept)

    def _reachable(self) -> list[Sandbox]:
        return [sandbox for pool in self._pools.values() for sandbox in pool.reachable()]

    def _end_unreachable(self, sandbox: Sandbox) -> None:
        if sandbox.state is State.READY:  # a leased one is its owner's to end, who sees for itself whether it answers
            log.error("%r is replaced: the engine does not reach it, and reaches others", sandbox)
            self._pools[sandbox.template.name].doom(sandbox, "the engine does not reach it")

    def _known(self) -> set[str]:
        return {sandbox_id for pool in self._pools.values() for sandbox_id in pool.ids()}

    def _on_change(self, change: Change) -> None:
        self._invariants.moved(change)
        sandbox_moved(change)
        for observe in self._observers:
            observe(change)
