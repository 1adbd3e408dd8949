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
        (Host(5_000_000, 45_000_000), False),  # all there was: the guest starves it
        (Host(None, None), False),
        (Host(5_000_000), False),  # the pool daemon went away
        (Host(), False),
        (Host(5_000_000, 5_000_000, late_s=0.1), False),  # too late for the answer that was promised
    ],
)
async def test_a_sandbox_stands_still_when_its_processes_use_no_time(host, still):
    began = anyio.current_time()
    assert await stands_still(host, None) is still
    assert anyio.current_time() - began <= 0.15
