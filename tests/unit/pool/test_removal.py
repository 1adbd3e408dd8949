"""What the engine will not remove, or will not boot, is in nobody else's way; on the fake engine."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
import trio.testing

from pool.engine import EngineError
from pool.fleet import Fleet
from pool.sandbox import State
from pool.settings import PoolSettings
from pool.template import Template
from pool.testing import FakeEngine, must_fail


@pytest.fixture
def anyio_backend() -> object:
    """Minutes pass in here: on the clock that jumps only. What of it is quick is in test_refilling, on each loop."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0.02)}


def numbers(fleet: Fleet):
    return {one.template: one for one in fleet.stats().pools}


async def so(condition: Callable[[], bool]) -> None:
    """Until it is. No sandbox moves by it, so there is no change to wait for."""
    with anyio.fail_after(120):
        while not condition():
            await anyio.sleep(0.5)  # each jump of the clock takes 20 ms of real time


async def test_a_removal_that_fails_three_times_is_quarantined_until_it_succeeds(world):
    async with world(target=1) as w:
        w.engine.faults = must_fail("destroy")
        lease = await w.fleet.lease("python")
        w.fleet.end(lease.id, "done")
        await so(lambda: w.now.quarantined == 1)
        assert w.engine.steps.count("destroy") == 3
        assert (w.now.doomed, w.now.trouble) == (1, None)
        (shown,) = [one for one in w.fleet.sandboxes("python") if one.state == "doomed"]
        assert shown.reason == "done; not removed: destroy was told to fail"
        w.engine.faults = {}
        await w.until(lambda: lease.sandbox.state is State.GONE)
        assert w.now.quarantined == 0


async def test_a_removal_that_hangs_gives_its_turn_to_others(world):
    async with world(PoolSettings(destroys_at_once=1), target=2) as w:
        stuck, other = [await w.fleet.lease("python") for _ in range(2)]
        w.engine.gates["destroy"] = gate = anyio.Event()
        w.fleet.end(stuck.id, "done")
        await anyio.wait_all_tasks_blocked()
        del w.engine.gates["destroy"]  # the first one hangs all the same
        w.fleet.end(other.id, "done")
        await w.until(lambda: other.sandbox.state is State.GONE)
        assert stuck.sandbox.state is State.DOOMED or not gate.is_set()
        gate.set()
        await w.until(lambda: stuck.sandbox.state is State.GONE)


async def test_the_quarantined_take_no_room_until_they_are_as_many_as_there_may_be(world):
    async with world(target=1, max_sandboxes=2) as w:
        w.engine.faults = must_fail("destroy")
        for number in (1, 2):  # with two in quarantine there are still two to be had
            lease = await w.fleet.lease("python")
            w.fleet.end(lease.id, "done")
            await so(lambda n=number: w.now.quarantined == n)
            await w.until_ready(1)
        for _ in range(2):  # and then no more: the host is not to be filled up
            lease = await w.fleet.lease("python")
            w.fleet.end(lease.id, "done")
            await anyio.sleep(60)
        assert len(w.engine.containers) == 4
        assert w.now.ready == 0
        assert "4 sandboxes are quarantined" in (w.now.trouble or "")
        w.engine.faults = {}
        await w.until_ready(1)


async def test_the_refill_is_measured_while_only_the_quarantined_are_beyond_the_room(world):
    """Sixteen where there may be fifteen, one of them quarantined: more may boot, and what comes is wanted."""
    async with world(PoolSettings(boots_at_once=8), target=7, max_sandboxes=15) as w:
        await w.until_ready(7)
        w.engine.faults = must_fail("destroy")
        lease = await w.fleet.lease("python")
        w.fleet.end(lease.id, "done")
        await so(lambda: w.now.quarantined == 1)
        await w.until_ready(7)
        w.engine.gates["start"] = gate = anyio.Event()
        rate = w.fleet._pools["python"]._refill_rate
        assert "3 counted" in repr(rate)
        for _ in range(7):
            await w.fleet.lease("python")
        await anyio.wait_all_tasks_blocked()
        assert w.now.booting == 7
        gate.set()
        await w.until_ready(7)
        assert "7 counted" in repr(rate), "those up to half of the target"
        w.engine.faults = {}


async def test_a_closing_pool_waits_for_the_quarantined_no_longer_than_for_others(world):
    engine = FakeEngine()
    template = Template(name="python", language="python", image="petri/python", target=1)
    async with engine.running():
        async with Fleet(engine, [template], PoolSettings(close_s=1.0)).running() as fleet:
            lease = await fleet.lease("python")
            engine.faults = must_fail("destroy")
            fleet.end(lease.id, "done")
            await so(lambda: numbers(fleet)["python"].quarantined == 1)
            closing_at = anyio.current_time()
        assert anyio.current_time() - closing_at < 2.5
        assert engine.containers


async def test_a_template_that_does_not_boot_holds_up_no_other():
    """Both turns are taken by boots that hang; from the first failure on the others have them to themselves."""
    bad = Template(name="bad", language="python", image="bad", target=4, boot_timeout_s=5.0)
    good = Template(name="good", language="python", image="good", target=2, boot_timeout_s=5.0)

    class Selective(FakeEngine):
        async def start(self, sandbox_id, template, slot, *, background):
            if template.name == "bad":
                await anyio.sleep_forever()
            return await super().start(sandbox_id, template, slot, background=background)

    async with Selective().running() as engine:
        async with Fleet(engine, [bad, good], PoolSettings(boots_at_once=2)).running() as fleet:
            with anyio.fail_after(5.5):
                while numbers(fleet)["good"].ready < 2 or not numbers(fleet)["bad"].boot_failures:
                    await anyio.sleep(0.05)
            for _ in range(4):  # while the other one keeps on failing
                lease = await fleet.lease("good")
                fleet.end(lease.id, "done")
                with anyio.fail_after(1.5):
                    while numbers(fleet)["good"].ready < 2:
                        await anyio.sleep(0.05)
            await so(lambda: numbers(fleet)["bad"].boot_failures["engine_timeout"] >= 3)
            assert "boots failed in a row" in (numbers(fleet)["bad"].trouble or "")
            assert numbers(fleet)["good"].trouble is None


@pytest.mark.parametrize("reason", ["engine_down", "engine_timeout", "unavailable", "refused"])
async def test_an_engine_that_does_not_reach_its_containers_ends_readiness_and_then_is_well_again(world, reason):
    async with world(target=1) as w:
        await w.until_ready(1)
        await so(lambda: w.engine.steps.count("reach") == 2)  # the first one was answered
        w.engine.faults = {"reach": EngineError(reason, "containerd is away")}
        await so(lambda: "does not reach its containers" in (w.now.trouble or ""))
        assert w.now.ready == 1
        w.engine.faults = {}
        await so(lambda: w.now.trouble is None)


async def test_an_engine_that_hangs_when_it_is_asked_ends_readiness(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        w.engine.gates["reach"] = gate = anyio.Event()
        await so(lambda: "no answer within" in (w.now.trouble or ""))
        gate.set()


def silent(sandbox_id: str) -> dict[str, Exception]:
    return {f"reach {sandbox_id}": EngineError("unavailable", f"the shim of {sandbox_id} hangs")}


async def test_one_container_that_is_not_reached_is_replaced_and_readiness_goes_on(world):
    async with world(target=3) as w:
        await w.until_ready(3)
        victim = min(w.engine.containers)
        w.engine.faults = silent(victim)
        troubles = set[str | None]()

        def is_replaced() -> bool:
            troubles.add(w.now.trouble)
            return victim not in w.engine.containers and w.now.ready == 3

        await so(is_replaced)
        assert troubles == {None}
        assert [change.reason for change in w.changes if change.sandbox.id == victim][-2:] == [
            "the engine does not reach it",
            "removed",
        ]
        assert {change.sandbox.id for change in w.changes if change.new is State.DOOMED} == {victim}


async def test_every_container_is_asked_about_in_turn(world):
    async with world(target=3) as w:
        await w.until_ready(3)
        await so(lambda: len(w.engine.asked) == 6)
        assert w.engine.asked == sorted(w.engine.containers) * 2


async def test_an_engine_that_was_away_costs_no_container(world):
    """Each of them was not reached: that was the engine, and once it is back each is asked about once more."""
    async with world(target=3) as w:
        await w.until_ready(3)
        w.engine.faults = {"reach": EngineError("unavailable", "containerd is away")}
        await so(lambda: len(w.engine.asked) == 6)
        assert "does not reach its containers" in (w.now.trouble or "")
        w.engine.faults = {}
        await so(lambda: len(w.engine.asked) == 11)
        assert w.now.trouble is None
        assert not [change for change in w.changes if change.new is State.DOOMED]


async def test_one_that_is_leased_is_its_owners_to_end(world):
    async with world(target=1, max_sandboxes=2) as w:
        lease = await w.fleet.lease("python")
        await w.until_ready(1)
        w.engine.faults = silent(lease.sandbox.id)
        await so(lambda: w.engine.asked.count(lease.sandbox.id) == 3)
        assert lease.sandbox.state is State.LEASED
        assert w.now.trouble is None


async def test_with_nothing_left_to_be_asked_about_failures_are_forgotten(world):
    async with world(target=0, max_sandboxes=2) as w:
        lease = await w.fleet.lease("python")
        w.engine.faults = {step: EngineError("unavailable", "containerd is away") for step in ("reach", "destroy")}
        await so(lambda: "does not reach its containers" in (w.now.trouble or ""))
        w.fleet.end(lease.id, "done")
        await so(lambda: w.now.trouble is None)
        assert lease.sandbox.state is State.DOOMED, "it was not the removal that told"
        w.engine.faults = {}
        await w.until(lambda: lease.sandbox.state is State.GONE)


async def test_a_container_that_the_engine_knows_no_more_says_nothing_for_it(world):
    """It says so from its own memory: neither the answer nor the removal went all the way."""
    async with world(target=2) as w:
        lease = await w.fleet.lease("python")
        await w.until_ready(2)
        gone = w.engine.containers[lease.sandbox.id]
        gone.lost = True
        w.engine.faults = {f"reach {one}": EngineError("unavailable", "away") for one in w.engine.containers}
        del w.engine.faults[f"reach {gone.id}"]
        await so(lambda: "does not reach its containers" in (w.now.trouble or ""))
        asked = w.engine.asked.count(gone.id)
        await so(lambda: w.engine.asked.count(gone.id) > asked)
        assert w.now.trouble is not None
        w.fleet.end(lease.id, "done")
        await w.until(lambda: lease.sandbox.state is State.GONE)
        assert w.now.trouble is not None
        w.engine.faults = {}
        await so(lambda: w.now.trouble is None)


async def test_an_engine_that_is_unavailable_at_the_first_question_goes_on_being_asked(world):
    async with world(target=1) as w:
        w.engine.faults = {"reach": EngineError("unavailable", "containerd is away")}
        await so(lambda: "does not reach its containers" in (w.now.trouble or ""))
        w.engine.faults = {}
        await so(lambda: w.now.trouble is None)


async def test_an_engine_that_cannot_be_asked_is_well_as_long_as_it_boots(world):
    async with world(target=1) as w:
        w.engine.faults = {"reach": EngineError("refused", "500 ps is not installed")}
        await w.until_ready(1)
        await anyio.sleep(30)
        assert w.now.trouble is None
        assert w.engine.steps.count("reach") == 1


async def test_an_engine_at_work_is_not_asked(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        asked = w.engine.steps.count("reach")
        for _ in range(6):
            lease = await w.fleet.lease("python")
            w.fleet.end(lease.id, "done")
            await anyio.sleep(2)
        assert w.engine.steps.count("reach") == asked


async def test_what_a_sweep_left_is_swept_soon_and_the_dead_of_later_too(world):
    async with world(target=0) as w:
        assert w.engine.steps.count("sweep") == 1
        await anyio.sleep(31)
        assert w.engine.steps.count("sweep") == 2
        w.engine.faults = must_fail("sweep")
        await anyio.sleep(30)
        failed = w.engine.steps.count("sweep")
        await anyio.sleep(9)
        assert w.engine.steps.count("sweep") >= failed + 2
