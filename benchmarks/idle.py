"""Fifty Python sandboxes that wait, frozen: the processor time and the memory that each holds, broken down."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict

from benchmarks import containers, machine
from benchmarks.bench import Bench, Results
from benchmarks.instance import of_size

TITLE = "Idle sandboxes"
#: The engine's own work after a boot has ended by then.
_SETTLE_S = 5.0


def run(bench: Bench) -> Results:
    if bench.live is not None:
        raise RuntimeError("needs a pool of its own")
    available = machine.available_memory_mib()
    with bench.petri({"python": of_size(bench.effort.idle)}) as petri:
        time.sleep(_SETTLE_S)
        held = containers.of_the_pool()
        own = petri.cpu_seconds()
        before = [(one.cpu_seconds(), one.shim_cpu_seconds()) for one in held]
        time.sleep(bench.effort.idle_s)
        after = [(one.cpu_seconds(), one.shim_cpu_seconds()) for one in held]
        spent = {name: 1000 * (now - own[name]) for name, now in petri.cpu_seconds().items()}
        memory = [one.memory() for one in held]
        lost = available - machine.available_memory_mib() - sum(petri.memory_mib().values())
    inside, shims = (1000 * sum(now[i] - then[i] for then, now in zip(before, after, strict=True)) for i in (0, 1))
    found: Results = {
        "sandboxes": len(held),
        "seconds": bench.effort.idle_s,
        "cpu_ms": {"in the sandboxes": round(inside, 4), "their shims": round(shims, 4), **spent},
        "mib_each": {
            name: round(statistics.mean(asdict(one)[name] for one in memory), 3) for name in asdict(memory[0])
        },
        "mib_together": round(statistics.mean(one.together for one in memory), 3),
        "mib_by_the_hosts_count": round(lost / len(held), 3),
    }
    bench.say(f"{len(held)} sandboxes: {inside:.3f} ms CPU in {bench.effort.idle_s:g} s, shims {shims:.3f} ms")
    bench.say(
        f"{found['mib_together']:.1f} MiB each with its shim; {found['mib_by_the_hosts_count']:.1f} by MemAvailable"
    )
    return found
