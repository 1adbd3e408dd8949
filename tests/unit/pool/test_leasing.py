"""Rules 1–7 and 13 of the pool, on the fake engine."""

from __future__ import annotations

import asyncio

import anyio
import pytest
import sniffio

from pool.errors import PoolTimeout, PoolUnavailable, TooManyWaiting, UnknownTemplate
from pool.sandbox import State
from pool.testing import must_fail


async def test_a_sandbox_is_handed_to_one_caller_once(world):
    async with world(target=3, max_sandboxes=20) as w:
        leases = []

        async def lease_and_end() -> None:
            lease = await w.fleet.lease("python")
            leases.append(lease.sandbox.id)
            w.fleet.end(lease.id, "done")

        async with anyio.create_task_group() as tasks:
            for _ in range(15):
                tasks.start_soon(lease_and_end)
        assert len(set(leases)) == 15
        handed_out = [change.sandbox.id for change in w.changes if change.new is State.LEASED]
        assert sorted(handed_out) == sorted(leases)


async def test_taking_one_starts_the_next_boot_at_once(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        w.engine.gates["start"] = gate = anyio.Event()
        await w.fleet.lease("python")
        await anyio.wait_all_tasks_blocked()
        assert (w.engine.started, w.now.booting) == (2, 1)
        gate.set()


async def test_ready_and_booting_cover_target_and_waiting_up_to_the_maximum(world):
    async with world(target=2, max_sandboxes=4) as w:
        await w.until_ready(2)
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()
            assert (w.now.leased, w.now.booting, w.now.waiting) == (2, 2, 3)  # 2 booting: the maximum less 2 leased
            gate.set()
            await w.until(lambda: w.now.leased == 4)
            assert (w.now.booting, w.now.waiting) == (0, 1)
            tasks.cancel_scope.cancel()


async def test_doomed_sandboxes_count_against_the_maximum(world):
    async with world(target=2, max_sandboxes=2) as w:
        await w.until_ready(2)
        w.engine.gates["destroy"] = gate = anyio.Event()
        for _ in range(2):
            lease = await w.fleet.lease("python")
            w.fleet.end(lease.id, "done")
        await anyio.wait_all_tasks_blocked()
        assert (w.engine.started, w.now.doomed) == (2, 2)
        gate.set()
        await w.until_ready(2)


async def test_waiters_are_served_first_come_first_served(world):
    async with world(target=0, max_sandboxes=1) as w:
        order: list[int] = []

        async def wait_for_one(number: int) -> None:
            lease = await w.fleet.lease("python")  # one sandbox at a time: nobody else is served before this one ends
            order.append(number)
            w.fleet.end(lease.id, "done")

        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(wait_for_one, number)
                await anyio.wait_all_tasks_blocked()
            gate.set()
        assert order == [0, 1, 2, 3]


async def test_a_newcomer_does_not_overtake_those_who_wait(world):
    async with world(target=0, max_sandboxes=2) as w:
        taken = {}

        async def take(name: str) -> None:
            taken[name] = (await w.fleet.lease("python")).sandbox

        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, "first")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(take, "second")
            await anyio.wait_all_tasks_blocked()
            gate.set()
        in_order = [change.sandbox for change in w.changes if change.new is State.LEASED]
        assert in_order == [taken["first"], taken["second"]]


async def test_a_newcomer_does_not_overtake_one_who_was_woken_and_has_not_looked_yet(world):
    async with world(target=0, max_sandboxes=2) as w:
        w.engine.gates["hello"] = anyio.Event()
        became_ready, served = anyio.Event(), []

        async def ask(name: str) -> None:
            lease = await w.fleet.lease("python")
            served.append(name)
            w.fleet.end(lease.id, "done")

        async def ask_at_the_very_moment() -> None:
            await became_ready.wait()
            await ask("newcomer")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "first")
            tasks.start_soon(ask_at_the_very_moment)
            await anyio.wait_all_tasks_blocked()
            w.on_change = lambda change: became_ready.set() if change.new is State.READY else None
            w.engine.gates.pop("hello").set()
        assert served == ["first", "newcomer"]


async def test_a_waiter_gives_up_at_its_deadline_with_the_numbers(world):
    async with world(target=1, wait_s=0.05) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        with pytest.raises(PoolTimeout, match=r"<WarmPool python 0/1 ready, \d booting, 0 waiting>: nothing"):
            await w.fleet.lease("python")
        assert w.now.waiting == 0
        assert w.now.lease_outcomes["timeout"] == 1
        gate.set()


async def test_more_than_max_waiting_are_refused_at_once(world):
    async with world(target=0, max_waiting=1) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TooManyWaiting, match="at most 1 may wait"):
                await w.fleet.lease("python")
            gate.set()
        assert w.now.lease_outcomes == {"hit": 0, "waited": 1, "timeout": 0, "refused": 1}


async def test_a_cancelled_waiter_passes_its_turn_on(world):
    async with world(target=0, max_sandboxes=1) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        served = anyio.Event()

        async def second() -> None:
            await w.fleet.lease("python")
            served.set()

        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as first:
                first.start_soon(w.fleet.lease, "python")
                await anyio.wait_all_tasks_blocked()
                outer.start_soon(second)
                await anyio.wait_all_tasks_blocked()
                # Cancelled in the very step in which a sandbox becomes ready and the first in line is woken for it.
                w.on_change = lambda change: change.new is State.READY and first.cancel_scope.cancel()
                gate.set()
            with anyio.fail_after(5):
                await served.wait()


@pytest.mark.parametrize("step", ["thaw", "start"])
async def test_a_caller_cancelled_by_its_scope_leaves_no_sandbox_unowned(world, step):
    async with world(target=1 if step == "thaw" else 0) as w:
        if step == "thaw":
            await w.until_ready(1)
        w.engine.gates[step] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        gate.set()
        assert w.now.leased == 0
        assert w.now.waiting == 0
        assert w.now.lease_outcomes["refused"] == 0, "nobody refused it"


async def test_a_caller_cancelled_as_a_native_task_leaves_no_sandbox_unowned(world):
    if sniffio.current_async_library() != "asyncio":
        return  # trio has scopes only, tested above
    async with world(target=1) as w:
        await w.until_ready(1)
        w.engine.gates["thaw"] = gate = anyio.Event()
        task = asyncio.ensure_future(w.fleet.lease("python"))
        await anyio.wait_all_tasks_blocked()
        assert w.now.leased == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        assert w.now.leased == 0
        assert w.now.lease_outcomes["refused"] == 0


async def test_a_native_cancel_that_arrives_with_the_sandbox_passes_it_on(world):
    if sniffio.current_async_library() != "asyncio":
        return
    async with world(target=0, max_sandboxes=1) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        first = asyncio.ensure_future(w.fleet.lease("python"))
        await anyio.wait_all_tasks_blocked()
        second = asyncio.ensure_future(w.fleet.lease("python"))
        await anyio.wait_all_tasks_blocked()
        gate.set()
        await w.until_ready(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with anyio.fail_after(5):
            lease = await second
        assert lease.sandbox.state is State.LEASED


async def test_a_dead_sandbox_is_never_handed_out(world):
    async with world(target=2) as w:
        await w.until_ready(2)
        newest = w.changes[-1].sandbox
        w.engine.containers[newest.id].die()  # and take before anything else gets to run
        lease = await w.fleet.lease("python")
        assert lease.sandbox is not newest
        assert (newest.state, newest.reason) == (State.DOOMED, "died while idle") or newest.state is State.GONE


async def test_a_sandbox_that_dies_while_idle_is_replaced_without_being_asked_for(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        dead = w.changes[-1].sandbox
        w.engine.containers[dead.id].die()
        await w.until(lambda: dead.state is State.GONE)
        await w.until_ready(1)


async def test_the_last_one_in_is_the_first_one_out(world):
    async with world(target=3) as w:
        await w.until_ready(3)
        newest = [change.sandbox for change in w.changes if change.new is State.READY][-1]
        assert (await w.fleet.lease("python")).sandbox is newest


async def test_one_that_was_killed_while_frozen_is_not_handed_out(world):
    async with world(target=2) as w:
        await w.until_ready(2)
        newest = [change.sandbox for change in w.changes if change.new is State.READY][-1]
        newest.container.killed = True
        lease = await w.fleet.lease("python")
        assert lease.sandbox is not newest
        assert newest.reason == "died while idle"


async def test_an_engine_that_cannot_thaw_costs_the_sandbox_not_the_pool(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        w.engine.faults = must_fail("thaw")
        with pytest.raises(PoolUnavailable, match="thaw was told to fail"):
            await w.fleet.lease("python")
        w.engine.faults = {}
        assert w.now.lease_outcomes["refused"] == 1
        assert w.now.leased == 0
        assert (await w.fleet.lease("python")).sandbox.state is State.LEASED


async def test_an_unknown_template_names_those_there_are(world):
    async with world() as w:
        with pytest.raises(UnknownTemplate, match="'ruby'; there are python"):
            await w.fleet.lease("ruby")


async def test_ending_a_lease_twice_is_harmless(world):
    async with world(target=1) as w:
        lease = await w.fleet.lease("python")
        w.fleet.end(lease.id, "done")
        w.fleet.end(lease.id, "done again")
        await w.until(lambda: lease.sandbox.state is State.GONE)
