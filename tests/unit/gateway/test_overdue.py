"""Whether a sandbox whose agent says nothing stands still, from two looks at the host's counters."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from gateway.overdue import stands_still
from pool.engine import Usage
from pool.errors import PoolUnavailable


@pytest.fixture
def anyio_backend() -> object:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Throttled:
    """A guest that is busy on `threads` processors and has a quota of `cpus` in each of the kernel's periods."""

    def __init__(self, cpus: float, threads: int) -> None:
        self._cpus = cpus
        self._threads = threads

    async def usage(self, lease: object) -> Usage:
        periods, into = divmod(anyio.current_time(), 0.1)
        used_s = periods * 0.1 * self._cpus + min(self._threads * into, self._cpus * 0.1)
        return Usage(cpu_ns=round(used_s * 1e9))


class Host:
    """Answers with these processor times in turn, each after `late_s`."""

    def __init__(self, *cpu_ns: int | None, late_s: float = 0.0) -> None:
        self._answers = list(cpu_ns)
        self._late_s = late_s

    async def usage(self, lease: object) -> Usage:
        await anyio.sleep(self._late_s)
        if not self._answers:
            raise PoolUnavailable("away")
        return Usage(cpu_ns=self._answers.pop(0))


@pytest.mark.parametrize(
    ("host", "still"),
    [
        (Host(5_000_000, 5_000_000), True),
        (Host(5_000_000, 5_400_000), True),  # the agent waits, and looks at its clock
        (Host(5_000_000, 105_000_000), False),  # all there was: the guest starves it
        (Host(None, None), False),
        (Host(5_000_000), False),  # the pool daemon went away
        (Host(), False),
        (Host(5_000_000, 5_000_000, late_s=0.1), False),  # too late for the answer that was promised
    ],
)
async def test_a_sandbox_stands_still_when_its_processes_use_no_time(host, still):
    answer_by = anyio.current_time() + 0.2
    assert await stands_still(host, None, cpus=1.0, answer_by=answer_by) is still
    assert anyio.current_time() <= answer_by


@pytest.mark.parametrize("threads", [1, 2, 64])
@pytest.mark.parametrize("cpus", [0.05, 0.5, 1.0, 2.0])
async def test_a_busy_guest_that_is_throttled_does_not_stand_still(cpus, threads):
    host = Throttled(min(cpus, threads), threads)
    for _ in range(40):  # begun at any time within a period
        assert not await stands_still(host, None, cpus=cpus, answer_by=anyio.current_time() + 0.2)
        await anyio.sleep(0.0025)
