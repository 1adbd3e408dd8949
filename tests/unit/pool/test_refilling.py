"""Rules 6, 8–12 and 14 of the pool, on the fake engine."""

from __future__ import annotations

import contextlib
import itertools

import anyio
import pytest

from pool.engine import EngineError
from pool.errors import Draining, PoolUnavailable
from pool.fleet import Fleet
from pool.sandbox import State
from pool.settings import PoolSettings
from pool.template import Template
from pool.testing import FakeEngine, must_fail
from pool.traffic import LONGEST_S, RECENT_S, Traffic

#: uvloop's clock goes in whole milliseconds, as a float.
_CLOCK_STEP_S = 0.002


async def test_the_pool_fills_to_its_target(world):
    async with world(target=3) as w:
        await w.until_ready(3)
        assert w.engine.started == 3
        assert all(container.frozen for container in w.engine.containers.values())


@pytest.mark.parametrize("step", ["start", "freeze"])
async def test_boot_failures_open_the_circuit_and_show_in_readiness(world, step):
    async with world(target=1) as w:
        w.engine.faults = must_fail(step, reason="no_luck")
        await w.until(lambda: (w.now.trouble or "").startswith("3 boots failed in a row, the last with no_luck"))
        assert w.now.boot_failures["no_luck"] >= 3
        with pytest.raises(PoolUnavailable, match="boots failed in a row") as refusal:
            await w.fleet.lease("python")
        assert refusal.value.retry_after_s >= 1


async def test_boots_go_on_by_themselves_when_the_cause_is_mended(world):
    async with world(target=1) as w:
        w.engine.faults = must_fail("start")
        await w.until(lambda: w.now.boot_failures.get("refused", 0) >= 3)
        w.engine.faults = {}
        await w.until_ready(1)
        assert w.now.trouble is None


async def test_failed_boots_are_spaced_further_and_further_apart(world):
    async with world(target=1) as w:
        times: list[float] = []
        w.on_change = lambda change: change.new is State.DOOMED and times.append(anyio.current_time())
        w.engine.faults = must_fail("start")
        await w.until(lambda: len(times) >= 4)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps[2] > gaps[0]
        assert gaps[0] >= 0.1 - _CLOCK_STEP_S  # half of the first delay, at the least


async def test_nothing_boots_for_those_who_stopped_waiting(world):
    settings = PoolSettings(boots_at_once=1)
    async with world(settings, target=0) as w:
        w.engine.gates["hello"] = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()  # one boots, and the refiller waits to boot the second
            tasks.cancel_scope.cancel()
        w.engine.gates.pop("hello").set()
        await w.until_ready(1)
        await anyio.wait_all_tasks_blocked()
        assert w.engine.started == 1


async def test_an_agent_of_another_version_is_not_pooled(world):
    async with world(target=1) as w:
        w.engine.protocol = 99
        await w.until(lambda: w.now.boot_failures.get("version", 0) >= 1)
        assert w.now.ready == 0
        w.engine.protocol = 1
        await w.until_ready(1)


async def test_an_image_of_another_language_is_not_pooled(world):
    async with world(target=1) as w:
        w.engine.language = "node"
        await w.until(lambda: w.now.boot_failures.get("language", 0) >= 1)
        assert w.now.ready == 0
        w.engine.language = None
        await w.until_ready(1)


async def test_a_boot_that_never_says_hello_is_given_up_and_removed(world):
    async with world(target=1, boot_timeout_s=0.05) as w:
        w.engine.gates["hello"] = gate = anyio.Event()
        await w.until(lambda: w.now.boot_failures.get("timeout", 0) >= 1)
        gate.set()
        del w.engine.gates["hello"]
        await w.until_ready(1)


async def test_destroying_never_delays_the_end_of_a_lease(world):
    async with world(target=1) as w:
        lease = await w.fleet.lease("python")
        w.engine.gates["destroy"] = gate = anyio.Event()
        w.fleet.end(lease.id, "done")  # not awaited: there is nothing to wait for
        assert lease.sandbox.state is State.DOOMED
        await w.until_ready(1)
        assert w.now.doomed == 1
        gate.set()


async def test_a_container_that_will_not_go_is_tried_again_and_blocks_nobody(world):
    async with world(target=1) as w:
        lease = await w.fleet.lease("python")
        w.engine.faults = must_fail("destroy")
        w.fleet.end(lease.id, "done")
        await w.until_ready(1)
        assert w.now.doomed == 1
        w.engine.faults = {}
        await w.until(lambda: lease.sandbox.state is State.GONE)


@pytest.mark.parametrize("step", ["start", "hello", "freeze"])
async def test_a_boot_cancelled_half_way_removes_what_it_had_made(world, step):
    async with world(target=2) as w:
        w.engine.gates[step] = anyio.Event()
        await anyio.wait_all_tasks_blocked()
        assert w.engine.started == 2
    # leaving the world closes the pool in the middle of both boots; the world asserts that no container is left


async def test_a_boot_that_ends_while_the_pool_closes_is_destroyed_too(world):
    # An engine's thread cannot be cancelled: its start may return a container after the pool has been closed.
    gate = anyio.Event()

    async def open_gate() -> None:
        await anyio.wait_all_tasks_blocked()
        gate.set()

    async def wait_in_vain(fleet) -> None:
        with contextlib.suppress(Draining):
            await fleet.lease("python")

    async with anyio.create_task_group() as outer:
        async with world(target=0) as w:
            start = w.engine.start

            async def stubborn(sandbox_id, template, slot, *, background):
                container = await start(sandbox_id, template, slot, background=background)

                async def freeze() -> None:
                    container.frozen = True

                container.freeze = freeze
                with anyio.CancelScope(shield=True):
                    await gate.wait()
                return container

            w.engine.start = stubborn
            outer.start_soon(wait_in_vain, w.fleet)
            await anyio.wait_all_tasks_blocked()
            outer.start_soon(open_gate)
    assert State.READY not in [change.new for change in w.changes]


@pytest.mark.parametrize("step", ["destroy", "start"])
async def test_closing_ends_in_time_with_an_engine_that_hangs(step):
    hung = anyio.Event()
    async with FakeEngine().running() as engine:
        template = Template(name="python", language="python", image="petri/python", target=2)
        async with Fleet(engine, [template], PoolSettings(close_s=0.2)).running() as fleet:
            if step == "destroy":
                await fleet.lease("python")
            engine.gates[step] = hung
            await anyio.wait_all_tasks_blocked()
            closed = anyio.current_time()
        assert anyio.current_time() - closed < 2.0
        hung.set()


async def test_closing_gives_a_removal_that_fails_another_try(world):
    async with world(target=1) as w:
        lease = await w.fleet.lease("python")
        w.engine.faults = must_fail("destroy")
        w.fleet.end(lease.id, "done")
        await anyio.wait_all_tasks_blocked()
        assert lease.sandbox.state is State.DOOMED
        w.engine.faults = {}
    assert lease.sandbox.state is State.GONE


async def test_closing_destroys_leased_ones_too_and_a_late_end_of_the_lease_is_harmless(world):
    async with world(target=2) as w:
        lease = await w.fleet.lease("python")
    assert lease.sandbox.state is State.GONE
    w.fleet.end(lease.id, "done")
    assert lease.sandbox.state is State.GONE


async def test_draining_refuses_newcomers_and_waits_for_leases(world):
    async with world(PoolSettings(drain_s=600), target=1) as w:
        lease = await w.fleet.lease("python")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.drain)
            await anyio.wait_all_tasks_blocked()
            drained_by = anyio.current_time() + 60
            with pytest.raises(Draining) as refused:
                await w.fleet.lease("python")
            assert refused.value.retry_after_s == 600
            assert lease.sandbox.state is State.LEASED
            w.fleet.end(lease.id, "done")
        assert w.now.leased == 0
        assert anyio.current_time() < drained_by


async def test_draining_gives_up_on_a_lease_after_the_grace_period(world):
    settings = PoolSettings(drain_s=0.05)
    async with world(settings, target=1) as w:
        await w.fleet.lease("python")
        with anyio.fail_after(5):
            await w.fleet.drain()
        assert w.now.leased == 1


async def test_draining_refuses_those_who_wait(world):
    async with world(target=0) as w:
        w.engine.gates["start"] = gate = anyio.Event()
        refused = []

        async def wait() -> None:
            try:
                await w.fleet.lease("python")
            except Draining as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await w.fleet.drain()
        assert len(refused) == 1
        gate.set()


async def test_a_sandbox_idle_for_too_long_is_replaced(world):
    async with world(target=1, max_idle_s=0.2) as w:
        await w.until_ready(1)
        first = w.changes[-1].sandbox
        await w.until(lambda: first.state is State.GONE)
        assert first.reason == "removed"
        assert "idle too long" in [change.reason for change in w.changes if change.sandbox is first]
        await w.until_ready(1)


async def test_an_unknown_container_with_our_label_is_counted(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        assert w.fleet.stats().unwanted == 0
        found = {*await w.engine.ours(), "sb_stranger"}

        async def ours() -> set[str]:
            return found

        w.engine.ours = ours
        await w.fleet.take_census()
        assert w.fleet.stats().unwanted == 1
        assert w.engine.orphans_removed == ["sb_stranger"]
        found.remove("sb_stranger")
        await w.fleet.take_census()
        assert w.fleet.stats().unwanted == 0


async def test_a_stranger_that_will_not_go_is_shown_and_keeps_no_other_from_going(world):
    async with world(target=1) as w:
        await w.until_ready(1)
        found = {*await w.engine.ours(), "sb_1", "sb_2", "sb_3"}
        w.engine.faults = {"remove_orphan sb_2": EngineError("unavailable", "its shim hangs")}

        async def ours() -> set[str]:
            return found - set(w.engine.orphans_removed)

        w.engine.ours = ours
        await w.fleet.take_census()
        assert sorted(w.engine.orphans_removed) == ["sb_1", "sb_3"]
        assert w.fleet.stats().unwanted == 1, "those that are left, at once"
        w.engine.faults = {}
        await w.fleet.take_census()
        assert w.fleet.stats().unwanted == 0


@pytest.mark.parametrize("step", ["start", "destroy"])
async def test_a_sandbox_that_comes_or_goes_during_the_census_is_not_unwanted(world, step):
    async with world(target=1) as w:
        await w.until_ready(1)
        lease = await w.fleet.lease("python")
        await w.until_ready(1)
        found: set[str] = set()
        looked = anyio.Event()

        async def ours() -> set[str]:
            found.update(w.engine.containers)
            await looked.wait()
            return found

        w.engine.ours = ours
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.take_census)
            await anyio.wait_all_tasks_blocked()
            if step == "destroy":
                w.fleet.end(lease.id, "done")
                await w.until(lambda: lease.sandbox.state is State.GONE)
            else:
                await w.fleet.lease("python")
                await w.until_ready(1)
                found.update(w.engine.containers)
            looked.set()
        assert w.fleet.stats().unwanted == 0


async def test_refill_waits_for_a_lull_while_enough_are_ready_and_no_longer(world, monkeypatch):
    # With these numbers a lull never comes, so that only the pool's own need can start a boot.
    monkeypatch.setattr("pool.traffic.RECENT_S", 1e6)
    monkeypatch.setattr("pool.traffic.LONGEST_S", 1e6)
    async with world(target=4, max_sandboxes=8) as w:
        await w.until_ready(4)
        await w.fleet.lease("python")
        await w.fleet.lease("python")
        await anyio.wait_all_tasks_blocked()
        assert w.engine.started == 4, "half of the target is ready: the refill should let the leases pass"
        await w.fleet.lease("python")
        await w.until_ready(4)


async def test_background_work_is_put_off_for_a_bounded_time():
    traffic = Traffic()
    started = anyio.current_time()
    traffic.lease_arrived()
    await traffic.lull(lambda: True)
    assert anyio.current_time() - started >= RECENT_S - _CLOCK_STEP_S
    started = anyio.current_time()
    traffic.lease_arrived()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_leasing, traffic)
        await traffic.lull(lambda: True)
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - started >= LONGEST_S - _CLOCK_STEP_S


async def test_background_work_waits_for_the_runs_that_have_just_begun():
    traffic = Traffic()
    lulled = anyio.Event()

    async def lull() -> None:
        await traffic.lull(lambda: True)
        lulled.set()

    traffic.lease_arrived()
    traffic.lease_began("sb_1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lull)
        await anyio.sleep(2 * RECENT_S)
        assert not lulled.is_set(), "it began beside a run"
        traffic.lease_ended("sb_1")
        await anyio.wait_all_tasks_blocked()
        assert lulled.is_set(), "nothing runs any more, and the last lease was long ago"
        assert traffic.young() == 0


async def test_a_session_puts_nothing_off():
    traffic = Traffic()
    traffic.lease_began("sb_1")
    await anyio.sleep(LONGEST_S)
    started = anyio.current_time()
    await traffic.lull(lambda: True)
    assert anyio.current_time() - started <= _CLOCK_STEP_S
    assert traffic.young() == 0


async def test_a_burst_that_takes_all_there_is_is_served_before_its_refill_begins(world):
    async with world(target=20, max_sandboxes=60) as w:
        await w.until_ready(20)
        began = anyio.current_time()
        leases = [await w.fleet.lease("python") for _ in range(20)]
        await anyio.sleep(LONGEST_S / 4)
        assert w.engine.started == 20, "twenty requests are under way, and nobody waits: a boot would slow them down"
        for lease in leases:
            w.fleet.end(lease.id, "done")
        await w.until(lambda: w.engine.started > 20)
        assert anyio.current_time() - began < LONGEST_S, "they are over: nothing to wait for"


async def test_a_burst_larger_than_the_pool_boots_for_those_who_wait(world):
    async with world(target=10, max_sandboxes=40) as w:
        await w.until_ready(10)
        leases = [await w.fleet.lease("python") for _ in range(10)]
        began = anyio.current_time()
        leases.append(await w.fleet.lease("python"))
        assert anyio.current_time() - began < RECENT_S, "somebody waits: the boot cannot"


async def test_boots_let_others_have_the_processors_until_somebody_waits_for_one(world):
    async with world(target=2, max_sandboxes=8) as w:
        w.engine.gates["hello"] = anyio.Event()
        await anyio.wait_all_tasks_blocked()
        assert len(w.engine.containers) == 2
        assert all(container.background for container in w.engine.containers.values())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()
            assert len(w.engine.containers) == 3
            assert not any(container.background for container in w.engine.containers.values())
            w.engine.gates["hello"].set()
        await w.until_ready(2)


async def test_who_comes_while_a_container_is_being_made_has_it_hurried_as_soon_as_it_is_there(world):
    async with world(target=1, max_sandboxes=1) as w:
        w.engine.gates |= {"start": anyio.Event(), "hello": anyio.Event()}
        await anyio.wait_all_tasks_blocked()
        (container,) = w.engine.containers.values()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(w.fleet.lease, "python")
            await anyio.wait_all_tasks_blocked()
            assert container.background
            w.engine.gates["start"].set()
            await anyio.wait_all_tasks_blocked()
            assert not container.background, "it speaks no sooner than it is hurried"
            w.engine.gates["hello"].set()


async def test_boots_of_one_pool_are_hurried_for_whoever_waits_for_another():
    names = ("python", "node")
    settings = PoolSettings(boots_at_once=1)
    templates = [Template(name=name, language=name, image=name, target=int(name == "python")) for name in names]
    async with FakeEngine().running() as engine:
        engine.gates["hello"] = anyio.Event()
        async with Fleet(engine, templates, settings).running() as fleet, anyio.create_task_group() as tasks:
            await anyio.wait_all_tasks_blocked()
            (of_python,) = engine.containers.values()
            assert of_python.background, "nobody waits"
            tasks.start_soon(fleet.lease, "node")
            await anyio.wait_all_tasks_blocked()
            assert len(engine.containers) == 1, "its boot has the only turn"
            assert not of_python.background
            engine.gates["hello"].set()


async def _keep_leasing(traffic: Traffic) -> None:
    while True:
        traffic.lease_arrived()
        await anyio.sleep(RECENT_S / 5)


async def test_user_id_slots_are_shared_by_no_two_living_sandboxes(world):
    # FakeEngine.start asserts it for every container; here the slots are also seen to be used again.
    async with world(target=2) as w:
        for _ in range(8):
            lease = await w.fleet.lease("python")
            w.fleet.end(lease.id, "done")
            await w.until(lambda lease=lease: lease.sandbox.state is State.GONE)
        assert max(change.sandbox.slot for change in w.changes) <= 6


async def test_a_pool_that_keeps_nothing_ready_is_ready_again_when_its_pause_is_over(world):
    """Nobody boots for it before a caller comes, and no caller comes to what is not ready."""
    async with world(target=0, max_sandboxes=1, wait_s=60.0) as w:
        w.engine.faults = must_fail("start")
        with pytest.raises(PoolUnavailable):  # it waited until the third boot in a row had failed
            await w.fleet.lease("python")
        assert "boots failed in a row" in w.now.trouble
        w.engine.faults = {}
        with anyio.fail_after(10):
            while w.now.trouble:
                await anyio.sleep(0.05)
        lease = await w.fleet.lease("python")
        w.fleet.end(lease.id, "done")
