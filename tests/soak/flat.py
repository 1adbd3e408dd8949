"""Many leases and runs over the fake engine, and what memory they leave behind: none.

python -m tests.soak.flat RUNS   drives the pool alone and then gateway and pool, RUNS each, and prints a verdict.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from pool.fleet import Fleet
from pool.settings import PoolSettings
from pool.template import Template
from pool.testing import FakeEngine
from tests.gateway.served import serving

_SAMPLES = 10
#: Before the first sample: what is made once has been made.
_WARM_UP = 400
_CALLERS = 4
#: A leak of one block for each run is as many blocks as there were runs. Less than this share is none: lists that grow
#: by doubling, caches of the libraries that fill.
_BLOCKS_PER_RUN = 0.2
_RSS_MIB = 4.0

TEMPLATE = Template(
    name="python", language="python", image="petri/python", target=8, max_sandboxes=32, max_waiting=64, wait_s=60.0
)


@dataclass(frozen=True, slots=True)
class Memory:
    """After so many runs."""

    runs: int
    blocks: int  # allocated by Python, of whatever kind
    rss_mib: float

    @classmethod
    def now(cls, runs: int) -> Memory:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(runs, sys.getallocatedblocks(), resident * 4096 / (1 << 20))

    def __str__(self) -> str:
        return f"{self.runs:>8} runs: {self.blocks} blocks, {self.rss_mib:.1f} MiB"


def growth(samples: list[Memory]) -> str | None:
    """What grew from the first sample, taken after a warm-up, to the last; None if nothing did."""
    first, last = samples[0], samples[-1]
    runs, blocks = last.runs - first.runs, last.blocks - first.blocks
    if blocks > _BLOCKS_PER_RUN * runs:
        return f"{blocks} blocks more after {runs} runs"
    if last.rss_mib - first.rss_mib > _RSS_MIB:
        return f"{last.rss_mib - first.rss_mib:.1f} MiB more after {runs} runs"
    return None


async def sampled(
    runs: int, one: Callable[[], Awaitable[None]], settled: Callable[[], bool], say: Callable[[str], None]
) -> list[Memory]:
    """`runs` times `one`, by several callers, and the memory after each tenth, when nothing is under way."""
    samples: list[Memory] = []
    for part in range(_SAMPLES + 1):
        left = runs // _SAMPLES if part else _WARM_UP

        async def call() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await one()

        async with anyio.create_task_group() as tasks:
            for _ in range(_CALLERS):
                tasks.start_soon(call)
        while not settled():
            await anyio.sleep(0.01)
        samples.append(Memory.now(part * (runs // _SAMPLES)))
        say(str(samples[-1]))
    return samples


@asynccontextmanager
async def _fleet() -> AsyncIterator[Fleet]:
    settings = PoolSettings(boots_at_once=16, destroys_at_once=16)
    async with FakeEngine().running() as engine, Fleet(engine, [TEMPLATE], settings).running() as fleet:
        engine.steps = _Nothing()  # what tests look at, and grows
        yield fleet


class _Nothing(list[str]):
    """A list that keeps nothing."""

    def append(self, item: str) -> None:
        pass


def _is_full(fleet: Fleet) -> bool:
    (now,) = fleet.stats().pools
    return now.ready == now.target and not now.booting + now.doomed + now.leased


async def pool_alone(leases: int, say: Callable[[str], None]) -> list[Memory]:
    async with _fleet() as fleet:

        async def lease() -> None:
            one = await fleet.lease("python")
            fleet.end(one.id, "finished")

        return await sampled(leases, lease, lambda: _is_full(fleet), say)


async def gateway_and_pool(runs: int, say: Callable[[str], None]) -> list[Memory]:
    """Over HTTP and the pool's socket, all in this process, the caller too."""
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory), [TEMPLATE]) as served:
            served.engine.steps = _Nothing()
            made = 0

            async def run() -> None:
                nonlocal made
                made += 1
                if made % 10:
                    answer = await served.http.post("/v1/run", json={"language": "python", "code": "print 1"})
                    assert answer.status_code == 200, answer.text
                elif made % 20:
                    assert (await served.http.post("/v1/run", json={"language": "x"})).status_code == 400
                else:
                    with anyio.move_on_after(0.001):
                        await served.http.post("/v1/run", json={"language": "python", "code": "hang"})

            return await sampled(runs, run, lambda: _is_full(served.fleet), say)


async def main(runs: int) -> int:
    status = 0
    for name, drive in (("pool alone", pool_alone), ("gateway and pool", gateway_and_pool)):
        print(f"{name}, {runs} on the fake engine", flush=True)
        began = time.monotonic()
        grown = growth(await drive(runs, lambda line: print(line, flush=True)))
        print(f"{name}: {grown or 'flat'} ({time.monotonic() - began:.0f} s)", flush=True)
        status |= grown is not None
    return status


if __name__ == "__main__":
    sys.exit(anyio.run(main, int(sys.argv[1]), backend_options={"use_uvloop": True}))
