"""What a larger pool costs: time to fill it, latency beside it, memory."""

from __future__ import annotations

import statistics
import time

from benchmarks import containers, instance, machine
from benchmarks.bench import Bench, Results
from benchmarks.instance import of_size
from benchmarks.sequential import sequence

TITLE = "Growth"
_SETTLE_S = 3.0
#: Each, shim included, and as much again for the host: a size that does not fit is left out.
_NEEDS_MIB = 32
_RUNS = 50


def run(bench: Bench) -> Results:
    if bench.live is not None:
        raise RuntimeError("needs pools of its own")
    found: Results = {}
    for size in bench.effort.growth:
        available = machine.available_memory_mib()
        if available < _NEEDS_MIB * size:
            bench.say(f"{size}: left out, {available:.0f} MiB of memory are too few")
            continue
        with instance.started(bench.work, {"python": of_size(size)}) as (petri, seconds):
            time.sleep(_SETTLE_S)
            lost = available - machine.available_memory_mib()
            memory = [one.memory() for one in containers.of_the_pool()]
            runs = sequence(petri, "python", min(_RUNS, bench.effort.runs))
            found[str(size)] = {
                "full_after_s": round(seconds, 3),
                "boots_per_s": round(size / seconds, 3),
                "mib_together": round(statistics.mean(one.together for one in memory), 3),
                "mib_by_the_hosts_count": round(lost / size, 3),
                "petri_rss_mib": petri.memory_mib(),
                **runs,
            }
        bench.say(f"{size}: full after {seconds:.1f} s, median {runs['median']:.2f} ms, p99 {runs['p99']:.2f}")
    return found
