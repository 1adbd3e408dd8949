"""A pool that more is asked of than it can make: who is served, who is refused, and that its word can be relied on."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import anyio
import pytest
import sniffio

from pool.errors import PoolError, PoolTimeout, PoolUnavailable, TooManyWaiting
from pool.settings import PoolSettings
from pool.testing import must_fail
from pool.waiting import Priority


class Asking:
    """Callers that lease, hold the sandbox for no time, and note what they got."""

    def __init__(self, world) -> None:
        self.world = world
        self.served: list[str] = []
        self.refused: list[tuple[str, PoolError]] = []

    async def once(self, caller: str, priority: Priority = Priority.INTERACTIVE, wait_s: float | None = None) -> None:
        try:
            lease = await self.world.fleet.lease("python", caller=caller, priority=priority, wait_s=wait_s)
        except PoolError as error:
            self.refused.append((caller, error))
        else:
            self.served.append(caller)
            self.world.fleet.end(lease.id, "done")


async def test_one_noisy_caller_does_not_starve_nine_quiet_ones(world):
    async with world(target=0, max_sandboxes=1) as w:
        asking = Asking(w)
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(asking.once, "noisy")
            await anyio.wait_all_tasks_blocked()
            for quiet in range(9):
                tasks.start_soon(asking.once, f"quiet {quiet}")
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert len(asking.served) == 49
        assert Counter(asking.served[:10]) == Counter(["noisy", *(f"quiet {quiet}" for quiet in range(9))])


async def test_batch_goes_behind_interactive_but_for_one_in_ten(world):
    async with world(target=0, max_sandboxes=1) as w:
        asking = Asking(w)
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(asking.once, "batch", Priority.BATCH)
            await anyio.wait_all_tasks_blocked()
            for _ in range(25):
                tasks.start_soon(asking.once, "person")
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert [at for at, caller in enumerate(asking.served) if caller == "batch"] == [9, 19, 27, 28, 29]


async def test_a_newcomer_that_is_first_at_once_is_served_though_another_had_been_woken(world):
    """The one that was woken sees that it is not its turn any more, and must not be the only one who was told."""
    async with world(target=0, max_sandboxes=1, wait_s=1000.0) as w:
        asking = Asking(w)
        w.engine.gates["hello"] = anyio.Event()
        became_ready = anyio.Event()

        async def overtake() -> None:
            await became_ready.wait()
            await asking.once("person")

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asking.once, "batch", Priority.BATCH)
                tasks.start_soon(overtake)
                await anyio.wait_all_tasks_blocked()
                w.on_change = lambda change: became_ready.set() if change.new.value == "ready" else None
                w.engine.gates.pop("hello").set()
        assert sorted(asking.served) == ["batch", "person"]
        assert not asking.refused


async def test_when_the_queue_is_full_the_noisy_callers_last_is_refused_for_a_quiet_one(world):
    async with world(target=0, max_sandboxes=1, max_waiting=3) as w:
        asking = Asking(w)
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(asking.once, "noisy")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(asking.once, "quiet")
            await anyio.wait_all_tasks_blocked()
            ((caller, error),) = asking.refused
            assert caller == "noisy"
            assert isinstance(error, TooManyWaiting)
            assert "has this one's place" in str(error)
            assert w.now.waiting == 3
            gate.set()
        assert sorted(asking.served) == ["noisy", "noisy", "quiet"]
        assert w.now.refusals["displaced"] == 1
        assert w.now.lease_outcomes == {"hit": 0, "waited": 3, "timeout": 0, "refused": 1}


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_displaced_waiter_that_is_cancelled_at_that_moment_takes_nothing_along(world, how):
    if how == "native" and sniffio.current_async_library() != "asyncio":
        return
    async with world(target=0, max_sandboxes=1, max_waiting=2) as w:
        asking = Asking(w)
        w.engine.gates["start"] = gate = anyio.Event()
        async with anyio.create_task_group() as outer:
            outer.start_soon(asking.once, "noisy")
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as noisy:
                if how == "native":
                    task = asyncio.ensure_future(asking.once("noisy"))
                else:
                    noisy.start_soon(asking.once, "noisy")
                await anyio.wait_all_tasks_blocked()
                pool = w.fleet._pools["python"]
                before, join = len(pool._waiters), pool._waiters.join

                def displace_and_cancel(waiter):
                    out = join(waiter)
                    assert out is not None
                    task.cancel() if how == "native" else noisy.cancel_scope.cancel()
                    return out

                pool._waiters.join = displace_and_cancel
                outer.start_soon(asking.once, "quiet")
                await anyio.wait_all_tasks_blocked()
                if how == "native":
                    with pytest.raises(asyncio.CancelledError):
                        await task
            assert (before, w.now.waiting) == (2, 2)
            gate.set()
        assert sorted(asking.served) == ["noisy", "quiet"]
        assert not asking.refused
        assert w.now.waiting == 0


async def test_a_waiter_may_bring_a_deadline_of_its_own(world):
    async with world(target=0, wait_s=0.05) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        asking = Asking(w)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asking.once, "patient", Priority.BATCH, 60.0)
            with pytest.raises(PoolTimeout, match=r"within 0\.05 s"):
                await w.fleet.lease("python")
            gate.set()
        assert asking.served == ["patient"]


def on_a_virtual_clock() -> bool:
    """Where waiting is free. On the other loops these would take minutes, and show nothing else."""
    return sniffio.current_async_library() == "trio"


SLOW = PoolSettings(boots_at_once=2, destroys_at_once=8)


async def measure(w) -> None:
    """Let it boot a few while they are wanted."""
    asking = Asking(w)
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(asking.once, "first", Priority.INTERACTIVE, 60.0)
    assert len(asking.served) == 6


async def test_who_would_wait_in_vain_is_refused_at_once_and_only_once_something_was_measured(world):
    if not on_a_virtual_clock():
        return
    async with world(SLOW, target=0, max_sandboxes=20, max_waiting=100, wait_s=2.0) as w:
        w.engine.start_takes_s = 0.5  # four a second
        asking = Asking(w)
        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(30):  # all are let in: nothing is known yet
                tasks.start_soon(asking.once, "early")
            await anyio.sleep(0.1)
            assert not asking.refused
        assert {type(error) for _, error in asking.refused} == {PoolTimeout}
        assert w.now.lease_outcomes["timeout"] == len(asking.refused)
        assert anyio.current_time() - started < 2.5
        assert w.now.refill_per_s == pytest.approx(4, rel=0.3)
        asking = Asking(w)
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(asking.once, "late")
            await anyio.sleep(0.1)
            refused = len(asking.refused)
            assert 30 - 4 * 2 - 8 <= refused < 30  # at once
        assert w.now.refusals["hopeless"] == refused
        assert len(asking.refused) - refused <= 2  # those who were let in were served, but for an edge


async def test_the_first_in_line_is_never_refused_for_the_rate(world):
    if not on_a_virtual_clock():
        return
    async with world(SLOW, target=0, max_sandboxes=1, wait_s=1.0) as w:
        w.engine.start_takes_s = 0.1
        await measure(w)
        held = await w.fleet.lease("python")
        with pytest.raises(PoolTimeout, match="nothing ready within"):  # the only one is held: the rate goes to nothing
            await w.fleet.lease("python", wait_s=30.0)
        asking = Asking(w)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asking.once, "next")
            await anyio.wait_all_tasks_blocked()
            assert w.now.waiting == 1
            w.fleet.end(held.id, "done")
        assert asking.served == ["next"]


@pytest.mark.parametrize("clients", [40, 80])
async def test_every_client_that_obeys_retry_after_succeeds(world, clients):
    """Ten times what can be made within `wait_s`, all at once; in whole seconds, as the header has it."""
    if not on_a_virtual_clock():
        return
    async with world(SLOW, target=2, max_sandboxes=20, max_waiting=8, wait_s=2.0) as w:
        w.engine.start_takes_s = 0.5
        await measure(w)
        await w.until_ready(2)
        attempts: list[int] = []

        async def client(number: int) -> None:
            for attempt in range(1, 5):
                try:
                    lease = await w.fleet.lease("python", caller=f"client {number % 10}")
                except PoolError as refused:
                    assert refused.retryable
                    await anyio.sleep(max(1, math.ceil(refused.retry_after_s)))
                else:
                    w.fleet.end(lease.id, "done")
                    attempts.append(attempt)
                    return

        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for number in range(clients):
                tasks.start_soon(client, number)
        took_s = anyio.current_time() - started
        assert len(attempts) == clients, Counter(attempts)
        assert sum(attempt <= 2 for attempt in attempts) >= 0.9 * clients, Counter(attempts)
        assert took_s < 3 * clients / 4 + 4  # and is not told to stay away for much longer than it takes


async def test_while_boots_fail_nobody_is_told_to_come_before_the_next_attempt(world):
    async with world(target=1) as w:
        w.engine.faults = must_fail("start", "no_image")
        await w.until(lambda: sum(w.now.boot_failures.values()) >= 4)
        with pytest.raises(PoolUnavailable) as refused:
            await w.fleet.lease("python")
        assert refused.value.retry_after_s >= w.fleet._pools["python"]._backoff.remaining_s > 0
        assert w.now.refusals["unavailable"] == 1
