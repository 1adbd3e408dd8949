"""Places for batches' runs: in turn between callers, never with somebody who has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sniffio
import trio.testing

from gateway.shares import Shares
from pool.errors import PoolTimeout
from pool.template import Template

TWO = Template(name="python", language="python", image="petri/python", target=1, max_sandboxes=4)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    clock = {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return request.param, clock if request.param == "trio" else {}


class Batches:
    """Runs that take a slot, and hold it until they are told to end."""

    def __init__(self, share: float = 0.5) -> None:
        self.shares = Shares([TWO], share)
        self.order: list[str] = []
        self.late: list[str] = []

    @property
    def slots(self) -> str:
        return repr(self.shares._slots["python"])

    async def run(self, caller: str, may_end: anyio.Event | None = None, wait_s: float = 60.0) -> None:
        with self.shares.slot("python", caller) as slot:
            try:
                await slot.take(anyio.current_time() + wait_s)
            except PoolTimeout as error:
                assert error.retryable and error.retry_after_s >= 1
                self.late.append(caller)
                return
            self.order.append(caller)
            if may_end is not None:
                await may_end.wait()


async def test_a_quiet_callers_turn_comes_before_the_rest_of_a_noisy_ones() -> None:
    batches, may_end = Batches(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(batches.run, "noisy", may_end)
        await anyio.wait_all_tasks_blocked()
        for _ in range(20):
            tasks.start_soon(batches.run, "noisy")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(batches.run, "quiet")
        await anyio.wait_all_tasks_blocked()
        assert batches.slots == "<Slots 0/2 free, 21 waiting>"
        may_end.set()
    assert len(batches.order) == 23
    assert batches.order.index("quiet") <= 3  # two that had a slot, and one that stood there before
    assert batches.slots == "<Slots 2/2 free, 0 waiting>"


async def test_no_more_have_one_than_there_are_and_none_is_left_unused() -> None:
    batches, may_end = Batches(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for number in range(9):
            tasks.start_soon(batches.run, f"{number % 4}", may_end)
        await anyio.wait_all_tasks_blocked()
        assert len(batches.order) == 2
        may_end.set()
    assert (len(batches.order), batches.slots) == (9, "<Slots 2/2 free, 0 waiting>")


async def test_who_waits_in_vain_is_told_in_time() -> None:
    batches, may_end = Batches(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(batches.run, "first", may_end)
        await anyio.wait_all_tasks_blocked()
        await batches.run("second", wait_s=0.02)
        await batches.run("third", wait_s=-1.0)
        assert (batches.late, batches.slots) == (["second", "third"], "<Slots 0/2 free, 0 waiting>")
        may_end.set()
    await batches.run("fourth")
    assert batches.order == ["first", "first", "fourth"]


async def test_one_that_gives_its_slot_back_for_a_while_lets_another_have_it() -> None:
    batches = Batches(share=0.25)
    with batches.shares.slot("python", "first") as slot:
        await slot.take(anyio.current_time() + 1)
        await slot.take(anyio.current_time() + 1)  # again: it has it
        slot.give_back()
        await batches.run("second", wait_s=0.02)
        await slot.take(anyio.current_time() + 1)
        await batches.run("third", wait_s=0.02)
    assert (batches.order, batches.late) == (["second"], ["third"])
    assert batches.slots == "<Slots 1/1 free, 0 waiting>"


@pytest.mark.parametrize("when", ["waiting", "woken"])
@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_slot_is_not_lost_with_a_run_that_is_cancelled(how: str, when: str) -> None:
    if how == "native" and sniffio.current_async_library() != "asyncio":
        pytest.skip("trio has only its own")
    batches = Batches(share=0.25)
    cancel: list[Callable[[], Any]] = []

    async def cancelled() -> None:
        if how == "native":
            task = asyncio.create_task(batches.run("cancelled"))
            cancel.append(task.cancel)
            await asyncio.wait([task])
        else:
            with anyio.CancelScope() as scope:
                cancel.append(scope.cancel)
                await batches.run("cancelled")

    async with anyio.create_task_group() as tasks:
        with batches.shares.slot("python", "holder") as slot:
            await slot.take(anyio.current_time() + 1)
            tasks.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(batches.run, "next")
            await anyio.wait_all_tasks_blocked()
            if when == "woken":
                slot.give_back()
            cancel[0]()
            if when == "waiting":
                await anyio.wait_all_tasks_blocked()
                slot.give_back()
        with anyio.fail_after(5):
            while batches.order[-1:] != ["next"]:  # one that was woken before may have gone through
                await anyio.wait_all_tasks_blocked()
    assert batches.slots == "<Slots 1/1 free, 0 waiting>"
