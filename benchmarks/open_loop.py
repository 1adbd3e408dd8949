"""Clients that know nothing of each other: Poisson arrivals at half the sustained rate, whatever the server does.

Latency counts from the moment at which a request was meant to be sent, so that a pause of the server, or of the load
generator, shows in every request it delayed (no coordinated omission). The schedule is drawn in advance from one seed.
"""

from __future__ import annotations

from benchmarks import schedule
from benchmarks.bench import Bench, Results, own_share
from benchmarks.instance import misses
from benchmarks.load import follow
from benchmarks.programs import one_shots
from benchmarks.sequential import figures
from benchmarks.spending import Spending

TITLE = "Open loop: Poisson arrivals at half that rate"
SHARE = 0.5
SEED = 4
#: Beyond any number of requests that are under way at one time at such a rate.
WORKERS = 32


def run(bench: Bench) -> Results:
    rate = SHARE * bench.results["sustained"]["rate"]
    starts = schedule.poisson(rate, bench.effort.loop_s, SEED)
    found: Results = {"intended_rate": round(rate, 3), "seed": SEED}
    with bench.petri({"python": {}}) as petri:
        before = petri.lease_outcomes("python")
        spending = Spending(petri)
        with own_share(found):
            shots = follow(starts, WORKERS, one_shots(petri.url, "python"))
        found |= figures(shots, from_due=True) | spending.per_run(len(shots))
        found["misses"] = misses(before, petri.lease_outcomes("python"))
    found["due_s"] = [round(shot.due, 3) for shot in shots if not shot.error]
    found["latest_start_ms"] = round(1000 * max(shot.began - shot.due for shot in shots), 3)
    cpu = found["cpu_ms_per_run"].get("together", 0.0)
    bench.say(f"{len(shots)} at {rate:.2f}/s: median {found['median']:.2f} ms, p99 {found['p99']:.2f}, ")
    bench.say(f"{found['misses']} misses, {cpu:.2f} ms CPU a run")
    return found
