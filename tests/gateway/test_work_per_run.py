"""What a request costs, in work that can be counted: times are noisy, and a regression would hide in them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import pool_client
from pool.messages import Ask
from runners.channel import Channel
from runners.wire import Frame
from tests.gateway.served import Served

RUNS = 10


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what goes over the sandbox's channel, and what is asked of the pool daemon."""
    counted: Counter[str] = Counter()

    class Counted(Channel):
        def send_now(self, encoded: bytes) -> bytes:
            counted["writes to the sandbox"] += 1
            return super().send_now(encoded)

        async def send(self, encoded: bytes) -> None:
            counted["further writes to the sandbox"] += 1
            await super().send(encoded)

        async def receive(self) -> Frame:
            frame = await super().receive()
            counted[f"{frame.kind.name} from the sandbox"] += 1
            return frame

    post = pool_client.PoolClient._post

    def counting(self: pool_client.PoolClient, ask: Ask) -> None:
        counted[f"{ask.op} asked of the pool"] += 1
        post(self, ask)

    monkeypatch.setattr(pool_client, "Channel", Counted)
    monkeypatch.setattr(pool_client.PoolClient, "_post", counting)
    return counted


@pytest.fixture
async def tasks() -> AsyncIterator[list[str]]:
    """Names of the coroutines that were made tasks of since."""
    loop = asyncio.get_running_loop()
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)
    yield made
    loop.set_task_factory(None)


async def test_a_run_asks_nothing_of_the_engine_but_a_thaw_and_little_of_everybody(
    served: Served, work: Counter[str]
) -> None:
    await served.until(lambda: served.pool().ready == 2 and not served.pool().booting)
    for _ in range(RUNS):
        await served.until(lambda: served.pool().ready == 2 and not served.pool().booting and not served.pool().doomed)
        served.engine.steps.clear()
        work.clear()
        answer = await served.run("print 1")
        on_the_way = list(served.engine.steps)
        assert answer.json()["stdout"] == "1\n"
        # What is begun while the answer travels back belongs to the next sandbox; it waits for a lull.
        assert on_the_way == ["thaw"]
        await served.until(lambda: work["end asked of the pool"] == 1)
        assert work == {
            "lease asked of the pool": 1,
            "writes to the sandbox": 1,
            "STDOUT from the sandbox": 1,
            "EXIT from the sandbox": 1,
            "end asked of the pool": 1,
        }


async def test_a_failed_run_asks_for_the_hosts_counters_once_more(served: Served, work: Counter[str]) -> None:
    await served.until(lambda: served.pool().ready == 2)
    await served.run("exit 1")
    await served.until(lambda: work["end asked of the pool"] == 1)
    assert work["usage asked of the pool"] == 1


async def test_a_run_makes_three_tasks_at_most(served: Served, tasks: list[str]) -> None:
    """On either side of the pool's socket: the request, whoever watches its client, and the daemon's for the lease."""
    await served.until(lambda: served.pool().ready == 2 and not served.pool().booting)
    await served.run("print 1")  # the connection is made
    await served.until(lambda: served.pool().ready == 2 and not served.pool().booting and not served.pool().doomed)
    tasks.clear()
    await served.run("print 1")
    begun = [name for name in tasks if "WarmPool" not in name and "FakeEngine" not in name]
    assert len(begun) <= 3, begun
