"""The pool grows with demand at once, and shrinks when it is over, one by one."""

from __future__ import annotations

import anyio

from pool import warm_pool
from pool.demand import ArrivalRate
from pool.sandbox import State


async def lease_and_end(w) -> None:
    lease = await w.fleet.lease("python")
    w.fleet.end(lease.id, "done")


async def test_a_pool_grows_with_demand_up_to_its_most_and_shrinks_back(world, monkeypatch):
    monkeypatch.setattr(warm_pool, "_SHRINK_EVERY_S", 0.01)
    monkeypatch.setattr(ArrivalRate, "SHORT_S", 0.1)
    monkeypatch.setattr(ArrivalRate, "LONG_S", 0.2)
    async with world(target=1, max_target=5, max_sandboxes=20) as w:
        w.engine.start_takes_s = 0.01
        await w.until_ready(1)
        assert (w.now.target, w.now.sizing.because, w.now.sizing.high) == (1, "low", 5)
        for _ in range(40):
            await lease_and_end(w)
        assert w.now.target > 1
        assert w.now.sizing.arrivals_per_s > 0
        await w.until_ready(w.now.target)
        before = w.engine.started
        await w.until(lambda: (w.now.target, w.now.ready) == (1, 1))
        assert w.engine.started == before, "a pool that shrinks boots nothing"
        reasons = [change.reason for change in w.changes if change.old is State.READY and change.new is State.DOOMED]
        assert set(reasons) == {"more than demand needs"}
        for _ in range(40):  # and again
            await lease_and_end(w)
        assert w.now.target > 1


async def test_a_pool_without_a_most_keeps_its_size_whatever_comes(world):
    async with world(target=1, max_sandboxes=20) as w:
        await w.until_ready(1)
        for _ in range(40):
            await lease_and_end(w)
        assert (w.now.target, w.now.sizing.because) == (1, "low")


async def test_who_waits_is_served_before_the_pool_shrinks(world, monkeypatch):
    monkeypatch.setattr(warm_pool, "_SHRINK_EVERY_S", 0.001)
    async with world(target=1, max_target=8, max_sandboxes=20) as w:
        await w.until_ready(1)
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(lease_and_end, w)
        assert w.now.lease_outcomes["hit"] + w.now.lease_outcomes["waited"] == 60
