"""What every part of the benchmark is given, and how long it may take its time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import instance
from benchmarks.instance import Petri

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long: enough to show that everything works, or enough to believe the numbers."""

    runs: int  # requests of a sequence, a ramp or a burst
    docker_runs: int
    peer_runs: int
    loop_s: float  # of a loop that is measured
    search_s: float  # of each concurrency that is tried for the best
    warm_up_s: float  # of a loop, before it is measured
    idle: int  # sandboxes that idle
    idle_s: float
    starts: int  # of `petri up`
    growth: tuple[int, ...]  # sizes of the pool


QUICK = Effort(20, 5, 5, 8.0, 3.0, 3.0, 10, 5.0, 1, (5, 10))
FULL = Effort(100, 30, 50, 60.0, 8.0, 10.0, 50, 30.0, 3, (10, 50, 100, 200))


@dataclass(slots=True)
class Bench:
    """`live` is the Petri that was named, if one was; else each part starts one that suits it."""

    effort: Effort
    work: Path
    live: Petri | None = None
    results: Results = field(default_factory=dict)  # of the parts so far, by name

    @contextlib.contextmanager
    def petri(self, templates: Mapping[str, Mapping[str, Any]]) -> Iterator[Petri]:
        """A Petri whose pools are full, with `templates` unless it is one that was running before."""
        if self.live is not None:
            self.live.wait_until_full()
            yield self.live
            return
        with instance.started(self.work, templates) as (petri, _):
            yield petri

    def say(self, line: str) -> None:
        print(f"  {line}", flush=True)


@contextlib.contextmanager
def own_share(result: Results) -> Iterator[None]:
    """Adds `load_generator_cores` to `result`: processors that this process used itself meanwhile, of all there are."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        result["load_generator_cores"] = round((time.process_time() - cpu) / (time.perf_counter() - wall), 4)
