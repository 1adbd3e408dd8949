"""From `petri up` to every pool full, images present, beside the engine alone booting the same sandboxes."""

from __future__ import annotations

import statistics

from benchmarks import bare_loop, instance
from benchmarks.bench import Bench, Results
from benchmarks.engine import template

TITLE = "Start"
SANDBOXES = {"python": 8, "node": 4, "go": 2}
CONCURRENCIES = (2, 3, 4, 6)


def run(bench: Bench) -> Results:
    if bench.live is not None:
        raise RuntimeError("needs a Petri of its own")
    wanted = [template(name) for name, count in SANDBOXES.items() for _ in range(count)]
    petri: list[float] = []
    bare: dict[int, list[float]] = {one: [] for one in CONCURRENCIES}
    for _ in range(bench.effort.starts):  # in turns, so that what else the machine does falls on both
        with instance.started(bench.work, {name: {"target": count} for name, count in SANDBOXES.items()}) as (
            _,
            seconds,
        ):
            petri.append(seconds)
        for concurrency, taken in bare.items():
            taken.append(bare_loop.boot_all(wanted, concurrency))
    medians = {concurrency: statistics.median(taken) for concurrency, taken in bare.items()}
    best = min(medians, key=lambda one: medians[one])
    found: Results = {
        "sandboxes": SANDBOXES,
        "petri_s": [round(one, 3) for one in petri],
        "bare_s": {str(concurrency): [round(one, 3) for one in taken] for concurrency, taken in bare.items()},
        "bare_concurrency": best,
        "ratio": round(medians[best] / statistics.median(petri), 4),
    }
    bench.say(f"{statistics.median(petri):.2f} s; the engine alone {medians[best]:.2f} s ({best} at once)")
    return found
