"""What each part of a sandbox's configuration costs a boot: Petri's own beside one change at a time, in turn.

Every round boots and removes one sandbox under each option, in an order that changes from round to round, so that what
else the machine does falls on all alike. Nothing is trimmed.

create: the engine's create call. start: its start call. boot: from the beginning of create until the agent's first
word, the warm interpreter included. processors: what they all were busy for, from the create call until the container
was removed; the machine's other work is in it, and the kernel counts in steps of 10 ms. A difference is the median (of
processors: the mean) over the rounds of what this option took longer than Petri's own in the same round.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
import time

from benchmarks import machine
from benchmarks.bench import Bench, Results
from benchmarks.boot_options import AS_IT_IS, OPTIONS
from benchmarks.engine import Engine, sandbox_config, template
from pool.template import Template

TITLE = "What a boot costs"
PHASES = ("create", "start", "boot", "processors")
#: Of no slot of any pool.
_FIRST_UID = 2_090_000


def run(bench: Bench) -> Results:
    engine, of_python = Engine(), template("python")
    taken: dict[str, dict[str, list[float]]] = {name: {phase: [] for phase in PHASES} for name in OPTIONS}
    uids = itertools.count(_FIRST_UID)
    order = list(OPTIONS)
    for number in range(-1, bench.effort.docker_runs):  # the first round warms up
        random.shuffle(order)
        for name in order:
            phases = _boot_and_remove(engine, of_python, name, next(uids))
            for phase in PHASES if number >= 0 else ():
                taken[name][phase].append(1000 * phases[phase])
    mine = taken[AS_IT_IS]
    found = {
        name: {"loses": OPTIONS[name][1], **{phase: _beside(values[phase], mine[phase], phase) for phase in PHASES}}
        for name, values in taken.items()
    }
    as_it_is = found[AS_IT_IS]
    bench.say(", ".join(f"{phase} {as_it_is[phase]['value']:.1f} ms" for phase in PHASES))  # type: ignore[index]
    return {"rounds": bench.effort.docker_runs, "options": found}


def _boot_and_remove(engine: Engine, template: Template, option: str, uid: int) -> dict[str, float]:
    """Seconds of each phase of one sandbox, which is gone afterwards."""
    made = sandbox_config(template, uid)
    OPTIONS[option][0](made)
    busy = machine.busy_s()
    began = time.perf_counter()
    container = engine.create(made)
    created = time.perf_counter()
    try:
        with engine.attach(container) as stream:
            attached = time.perf_counter()
            engine.start(container)
            running = time.perf_counter()
            if not stream.recv(1):
                raise RuntimeError(f"{option}: the agent ended before it said a word")
            heard = time.perf_counter()
    finally:
        engine.remove(container)
    return {
        "create": created - began,
        "start": running - attached,
        "boot": heard - began,
        "processors": machine.busy_s() - busy,
    }


def _beside(values: list[float], mine: list[float], phase: str) -> dict[str, float]:
    """Milliseconds: of this option, how much longer than Petri's own, and half the width within which that lies with
    about 68 % probability."""
    differences = sorted(value - other for value, other in zip(values, mine, strict=True))
    if phase == "processors":
        return {
            "value": round(statistics.mean(values), 2),
            "difference": round(statistics.mean(differences), 2),
            "error": round(statistics.stdev(differences) / math.sqrt(len(differences)), 2),
        }
    return {
        "value": round(statistics.median(values), 2),
        "difference": round(statistics.median(differences), 2),
        "error": round(half_width(differences), 2),
    }


def half_width(ordered: list[float]) -> float:
    """Half of the interval in which the median lies with about 68 % probability: from the ranks, whatever the shape."""
    away = math.sqrt(len(ordered)) / 2
    low, high = (ordered[round((len(ordered) - 1) / 2 + sign * away)] for sign in (-1, 1))
    return (high - low) / 2
