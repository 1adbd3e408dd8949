"""Eight clients that each want a fresh sandbox again as soon as they have an answer, beside the engine alone.

The pool is as Petri ships it. It is drained before the clock runs, so that what was ready at the start adds nothing to
the rate: from then on a run costs a boot and a removal, and those are the engine's. How long a request takes is then
set by the number of clients; the rate is what counts.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks import bare_loop
from benchmarks.bench import Bench, Results, own_share
from benchmarks.engine import template
from benchmarks.load import closed_loop, errors, right
from benchmarks.machine import available_memory_mib
from benchmarks.programs import one_shots
from benchmarks.sequential import figures
from benchmarks.spending import Spending

TITLE = "Sustained: a closed loop of eight clients"
CLIENTS = 8
CONCURRENCIES = (1, 2, 3, 4, 5, 6)


def run(bench: Bench) -> Results:
    effort = bench.effort
    with bench.petri({"python": {}}) as petri:
        warm_up, seconds = effort.warm_up_s, effort.loop_s
        looked: dict[str, Any] = {}

        def look_when_warm() -> None:
            time.sleep(warm_up)
            looked["spending"], looked["at"] = Spending(petri), time.perf_counter()
            looked["pool before"], looked["available before"] = petri.pools()["python"], available_memory_mib()

        watcher = threading.Thread(target=look_when_warm)
        found: Results = {"clients": CLIENTS, "warm_up_s": warm_up}
        with own_share(found):
            watcher.start()
            began = time.perf_counter()
            shots = closed_loop(CLIENTS, warm_up + seconds, one_shots(petri.url, "python"))
            window = time.perf_counter() - looked["at"]
        from_s = looked["at"] - began
        counted = [shot for shot in shots if shot.ended >= from_s]
        done = len(right(counted))
        found |= figures(counted) | looked["spending"].per_run(max(1, done))
        found |= {
            "errors": errors(shots),
            "window_s": round(window, 3),
            "rate": round(done / window, 3),
            "pool_before": _states(looked["pool before"]),
            "pool_after": _states(petri.pools()["python"]),
            "available_mib": [round(looked["available before"]), round(available_memory_mib())],
            "ended_s": [round(shot.ended - from_s, 3) for shot in counted],
        }
        petri.wait_until_full()
        found["bare"] = _bare(bench)
    found["ratio"] = round(found["rate"] / found["bare"]["rate"], 4)
    bare = found["bare"]
    cpu = found["cpu_ms_per_run"].get("together", 0.0)
    bench.say(f"{found['rate']:.2f}/s with {cpu:.2f} ms CPU a run, {found['errors'] or 'no error'}")
    bench.say(
        f"the engine alone: {bare['rate']:.2f}/s ({bare['concurrency']} at once), heard {bare['rate_heard']:.2f}/s"
    )
    return found


def _bare(bench: Bench) -> Results:
    """The best concurrency is looked for briefly and then measured for as long as Petri was."""
    python = template("python")
    tried = {str(one): round(bare_loop.rate(python, one, bench.effort.search_s), 3) for one in CONCURRENCIES}
    best = max(tried, key=lambda one: tried[one])
    return {
        "tried": tried,
        "concurrency": int(best),
        "rate": round(bare_loop.rate(python, int(best), bench.effort.loop_s), 3),
        "rate_heard": round(bare_loop.rate(python, int(best), bench.effort.loop_s / 2, heard=True), 3),
    }


def _states(pool: dict[str, Any]) -> dict[str, int]:
    return {state: pool[state] for state in ("target", "ready", "booting", "leased", "doomed", "waiting")}
