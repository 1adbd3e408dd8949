"""A stateful search: callers, the engine and the guests do anything in any order, and the pool keeps its promises.

A whole fleet over the fake engine runs in a loop of its own, on asyncio and on trio. Its clock stands still unless a
rule moves it on.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import trio.testing
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pool.errors import PoolError
from pool.fleet import Fleet, Lease
from pool.sandbox import Change, Sandbox, State
from pool.settings import PoolSettings
from pool.stats import PoolSnapshot
from pool.template import Template
from pool.testing import FakeEngine, must_fail
from tests.fuzz.budget import examples

SETTINGS = PoolSettings(boots_at_once=2, destroys_at_once=2, close_s=15.0)
#: Loop turns in which everything that can happen at one moment has happened, nearly always: nothing asserted depends on
#: it, but for what must be so at the end.
_TURNS = 30
_MOST_CALLERS = 8
#: Longest backoff, a boot that never says HELLO, and the longest pause between two tries to destroy.
_RECOVERED_AFTER_S = 90

any_of_them = st.integers(0, 2**16)


class ClockedLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still unless it is moved on."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@dataclass(eq=False)
class Caller:
    """One that asks for a lease."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    task: asyncio.Task[None] | None = None  # on asyncio


class World:
    """The fleet and its callers. Every method runs in the loop's own thread."""

    def __init__(self, native: bool, clock: trio.testing.MockClock) -> None:
        self.native = native
        self.clock = clock
        self.callers: list[Caller] = []
        self.held: list[Lease] = []
        self.leased_ids: list[str] = []
        self.moves: dict[str, list[State]] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.stop = anyio.Event()
        self.ended = False
        self.leaving: bool | None = None  # the first caller, natively or not, as soon as a sandbox is ready

    async def live(self, template: Template, *, task_status: TaskStatus[None]) -> None:
        async with FakeEngine().running() as self.engine:
            async with anyio.create_task_group() as self.tasks:
                self.fleet = Fleet(self.engine, [template], SETTINGS, observers=[self.observe])
                async with self.fleet.running():
                    task_status.started()
                    await self.stop.wait()
                self.ended = True
                self.left = dict(self.engine.containers)

    def observe(self, change: Change) -> None:
        self.sandboxes[change.sandbox.id] = change.sandbox
        self.moves.setdefault(change.sandbox.id, []).append(change.new)
        if change.new is State.READY and self.leaving is not None and self.callers:
            self.end(self.callers[0], self.leaving)
            self.leaving = None
        if change.new is State.LEASED:
            assert change.sandbox.container is not None and change.sandbox.channel is not None
            assert change.sandbox.container.is_alive() and change.sandbox.channel.is_quiet(), "handed out dead"

    async def settle(self) -> None:
        for _ in range(_TURNS):
            await anyio.lowlevel.checkpoint()

    async def pass_time(self, seconds: float) -> None:
        if self.native:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, ClockedLoop)
            loop.now += seconds
        else:
            self.clock.jump(seconds)
        await self.settle()

    async def ask(self) -> None:
        caller = Caller()
        self.callers.append(caller)
        if self.native:  # not in a task group, which a child's native cancellation would end
            caller.task = asyncio.create_task(self.take(caller))
        else:
            self.tasks.start_soon(self.take, caller)
        await self.settle()

    async def take(self, caller: Caller) -> None:
        try:
            with caller.scope:
                lease = await self.fleet.lease("python")
                self.held.append(lease)
                self.leased_ids.append(lease.sandbox.id)
        except PoolError:
            pass
        finally:
            self.callers.remove(caller)

    async def cancel(self, caller: Caller, natively: bool) -> None:
        self.end(caller, natively)
        await self.settle()

    def end(self, caller: Caller, natively: bool) -> None:
        if natively and caller.task is not None:
            caller.task.cancel()
        else:
            caller.scope.cancel()

    async def release(self, lease: Lease) -> None:
        self.held.remove(lease)
        self.fleet.end(lease.id, "released")
        self.fleet.end(lease.id, "released again")
        await self.settle()

    async def die(self, state: State, which: int, at_once: bool) -> None:
        living = [one for name, one in self.engine.containers.items() if self.state_of(name) is state]
        if living:
            container = living[which % len(living)]
            container.die() if at_once else setattr(container, "killed", True)
        await self.settle()

    def state_of(self, name: str) -> State:
        return self.sandboxes[name].state if name in self.sandboxes else State.BOOTING

    async def close_gate(self, step: str) -> None:
        self.engine.gates.setdefault(step, anyio.Event())

    async def open_gates(self) -> None:
        for gate in self.engine.gates.values():
            gate.set()
        self.engine.gates.clear()
        await self.settle()

    async def end_faults(self) -> None:
        self.engine.faults.clear()
        await self.settle()

    async def drain(self) -> None:
        for pool in self.fleet._pools.values():
            pool.drain(over_in_s=1.0)
        await self.settle()

    async def close(self) -> None:
        self.stop.set()
        await self.settle()

    async def now(self) -> PoolSnapshot:
        return self.fleet.stats().pools[0]

    async def check(self) -> None:
        """What must hold at every moment."""
        for _ in range(20):
            now = await self.now()
            if not (now.waiting and now.ready):
                break
            await self.settle()
        else:
            raise AssertionError(f"callers wait while sandboxes are ready: {now}")
        stats = self.fleet.stats()
        (now,) = stats.pools
        pool = self.fleet._pools["python"]
        assert stats.invariant_violations == 0, now.trouble
        alive = pool._sandboxes
        most = pool.template.max_sandboxes
        assert now.ready + now.booting + now.leased + now.doomed == len(alive) <= most + min(now.quarantined, most)
        assert now.waiting <= min(pool.template.max_waiting, len(self.callers))
        assert len(self.leased_ids) == len(set(self.leased_ids)), "a sandbox was leased twice"
        for sandbox_id, states in self.moves.items():
            assert states == sorted(states, key=list(State).index), f"{sandbox_id} went back: {states}"
            assert len(states) == len(set(states)), f"{sandbox_id} came twice: {states}"
        # Each leased one is a caller's: one that holds it, or one that still waits for it to be thawed.
        held = [lease for lease in self.held if lease.sandbox.state is State.LEASED]
        assert 0 <= now.leased - len(held) <= len(self.callers), (now, self.held, self.callers)
        if not self.stop.is_set():
            assert len(held) == len(self.held), "a lease was ended that its holder had not ended"
            assert all(lease.sandbox.container in self.engine.containers.values() for lease in self.held)
        # A pool may hand out only what is frozen and has never been used.
        for sandbox in pool._ready:
            assert sandbox.state is State.READY
            assert sandbox.container is not None
        assert set(self.engine.containers) <= {one.id for one in alive}, "a container without a sandbox"


class Bazaar(RuleBasedStateMachine):
    """`world` lives in a thread of its own; the rules tell it what happens next."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.drained = self.closed = self.out_of_time = False

    @initialize(keeps=st.integers(0, 3), more=st.integers(1, 3), max_waiting=st.integers(0, 4))
    def begin(self, keeps: int, more: int, max_waiting: int) -> None:
        clock = trio.testing.MockClock(rate=0.0, autojump_threshold=math.inf)
        options = {"loop_factory": ClockedLoop} if self.backend == "asyncio" else {"clock": clock}
        self.portal: BlockingPortal = self.opened.enter_context(start_blocking_portal(self.backend, options))
        self.target = keeps
        template = Template(
            name="python", language="python", image="x", target=keeps, max_sandboxes=keeps + more,
            max_waiting=max(1, max_waiting), wait_s=5.0, max_idle_s=20.0,
        )  # fmt: skip

        async def world() -> World:
            return World(self.backend == "asyncio", clock)

        self.world = self.portal.call(world)

        async def live(*, task_status: TaskStatus[None]) -> None:
            await self.world.live(template, task_status=task_status)

        self.life, _ = self.portal.start_task(live)
        self.portal.call(self.world.settle)

    def teardown(self) -> None:
        with self.opened:
            if hasattr(self, "life"):
                self.it_is_well_again_and_then_leaves_nothing()

    # -- callers ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.world.ended and len(self.world.callers) < _MOST_CALLERS)
    @rule(together=st.integers(1, 3))
    def callers_ask(self, together: int) -> None:
        for _ in range(together):
            self.portal.call(self.world.ask)

    @precondition(lambda self: self.world.callers)
    @rule(which=any_of_them, natively=st.booleans())
    def a_caller_is_cancelled(self, which: int, natively: bool) -> None:
        callers = self.world.callers
        self.portal.call(self.world.cancel, callers[which % len(callers)], natively)

    @precondition(lambda self: self.world.callers)
    @rule(natively=st.booleans())
    def the_first_caller_leaves_just_as_a_sandbox_is_ready(self, natively: bool) -> None:
        self.world.leaving = natively

    @precondition(lambda self: self.world.held)
    @rule(which=any_of_them)
    def a_lease_is_ended(self, which: int) -> None:
        self.portal.call(self.world.release, self.world.held[which % len(self.world.held)])

    # -- the engine and the guests ----------------------------------------------------------------------------------

    @rule(step=st.sampled_from(["start", "hello", "freeze", "thaw", "destroy"]))
    def the_engine_hangs(self, step: str) -> None:
        self.portal.call(self.world.close_gate, step)

    @rule()
    def the_engine_goes_on(self) -> None:
        self.portal.call(self.world.open_gates)

    @rule(step=st.sampled_from(["start", "freeze", "thaw", "destroy"]))
    def the_engine_fails(self, step: str) -> None:
        self.world.engine.faults |= must_fail(step)

    @rule()
    def the_engine_is_mended(self) -> None:
        self.portal.call(self.world.end_faults)

    @rule(
        state=st.sampled_from([State.BOOTING, State.READY, State.READY, State.LEASED]),
        which=any_of_them,
        at_once=st.booleans(),
    )
    def a_container_dies(self, state: State, which: int, at_once: bool) -> None:
        self.portal.call(self.world.die, state, which, at_once)

    # -- time and the end -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 6.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        if self.closed and seconds * 2 > SETTINGS.close_s:
            self.out_of_time = True
        self.portal.call(self.world.pass_time, seconds)

    @precondition(lambda self: not self.drained and not self.world.ended)
    @rule(really=st.integers(0, 3))
    def the_pool_drains(self, really: int) -> None:
        if really == 0:  # most searches should not be over so soon
            self.drained = True
            self.portal.call(self.world.drain)

    @precondition(lambda self: not self.closed)
    @rule(really=st.integers(0, 5))
    def the_pool_closes(self, really: int) -> None:
        if really == 0:
            self.closed = True
            self.portal.call(self.world.close)

    # -- what must be so --------------------------------------------------------------------------------------------

    @invariant()
    def the_promises_are_kept(self) -> None:
        if hasattr(self, "life"):
            if self.life.done():
                self.life.result()
            self.portal.call(self.world.check)

    def it_is_well_again_and_then_leaves_nothing(self) -> None:
        world = self.world
        try:
            self.portal.call(world.open_gates)
            self.portal.call(world.end_faults)
            if not self.drained and not self.closed:
                for _ in range(_RECOVERED_AFTER_S):
                    self.the_promises_are_kept()
                    self.portal.call(world.pass_time, 1.0)
                assert not world.callers, "a caller was neither served nor refused"
                while world.held:
                    self.portal.call(world.release, world.held[0])
                for _ in range(_RECOVERED_AFTER_S):
                    now = self.portal.call(world.now)
                    if (now.ready, now.trouble) == (self.target, None):
                        break
                    self.portal.call(world.pass_time, 1.0)
                assert (now.ready, now.trouble) == (self.target, None), now
            self.the_promises_are_kept()
        finally:
            self.portal.call(world.close)
            for _ in range(40):
                self.portal.call(world.pass_time, 0.5)
                if self.life.done():
                    break
            else:
                self.life.cancel()
        self.life.result()
        assert not world.callers
        if not self.out_of_time:
            assert not world.left, "containers outlived the pool"
            assert {one.state for one in world.sandboxes.values()} <= {State.GONE}


class BazaarOnTrio(Bazaar):
    backend = "trio"


_SETTINGS = examples(120, stateful_step_count=30)
Bazaar.TestCase.settings = BazaarOnTrio.TestCase.settings = _SETTINGS
TestOnAsyncio = Bazaar.TestCase
TestOnTrio = BazaarOnTrio.TestCase
