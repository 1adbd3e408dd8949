"""Run every part, or some, and write one report.

scripts/bench [--quick] [--url URL] [--only PART,…] [--results DIRECTORY]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import (
    boot_cost,
    engine,
    go_build,
    growth,
    idle,
    instance,
    locust_runs,
    machine,
    open_loop,
    peers,
    report,
    second_exec,
    sequential,
    start_up,
    sustained,
    tti,
    whose_time,
)
from benchmarks.bench import FULL, QUICK, Bench

#: In this order: a later part may need the numbers of an earlier.
PARTS: dict[str, ModuleType] = {
    "sequential": sequential,
    "go_build": go_build,
    "second_exec": second_exec,
    "tti": tti,
    "peers": peers,
    "sustained": sustained,
    "open_loop": open_loop,
    "locust": locust_runs,
    "start_up": start_up,
    "idle": idle,
    "growth": growth,
    "boot_cost": boot_cost,
    "whose_time": whose_time,
}
_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of everything, to see that it works")
    parser.add_argument("--url", help="measure the Petri that serves there, instead of one started for each part")
    parser.add_argument("--only", metavar="PART,…", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="before each part, at most this long for a calm machine (30; with --quick 0)",
    )
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where the report goes")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(PARTS)
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # or what was started would stay
    with tempfile.TemporaryDirectory(prefix="petri-bench-") as work:
        live = instance.found(arguments.url) if arguments.url else None
        bench = Bench(QUICK if arguments.quick else FULL, Path(work), live)
        about = facts(arguments)
        print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
        measure(bench, chosen, 0.0 if arguments.quick else arguments.wait)
        about["busy at the end"] = f"{machine.busy_share():.1%}"
    files = report.write(arguments.results, about, bench.results)
    print(f"\n{report.table(bench.results)}\n\n" + "\n".join(map(str, files)))
    if failed := bench.results.get("failed"):
        print(f"\nFAILED, the reasons stand above and in the report: {', '.join(failed)}")
    return 1 if "failed" in bench.results else 0


def measure(bench: Bench, chosen: list[str], wait_s: float) -> None:
    """Fills the results. A part that fails is reported, and the others go on."""
    for name, part in PARTS.items():
        if name not in chosen:
            continue
        print(f"{part.TITLE} …", flush=True)
        calm = {"before": machine.wait_for_calm(wait_s)}
        bench.say(
            _in_words(calm["before"])
            + ("" if calm["before"].is_calm else ": NOT CALM, and what follows is slow for it")
        )
        began = time.perf_counter()
        try:
            bench.results[name] = part.run(bench)
        except Exception:
            bench.results.setdefault("failed", {})[name] = traceback.format_exc()
            bench.say(f"FAILED: {traceback.format_exc(limit=-2)}")
        taken = time.perf_counter() - began
        calm["after"] = machine.Calm.now()
        bench.results.setdefault("calm", {})[name] = {when: asdict(look) for when, look in calm.items()}
        bench.say(f"({taken:.0f} s; {_in_words(calm['after'])})")


def _in_words(look: machine.Calm) -> str:
    return f"machine {look.busy:.0%} busy, {look.cold_page_us:.1f} µs for a page not touched for a second"


def facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a reader needs to know to compare."""
    return {
        "started": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.machine(),
        "engine": f"docker {engine.Engine().version()}",
        "commit": machine.commit(),
        "effort": "quick: shows that everything works, not how fast it is" if arguments.quick else "full",
        "busy before": f"{machine.busy_share():.1%} of the processors, load {os.getloadavg()[0]:.2f}",
        "client": "on the same machine, over loopback",
        "command": json.dumps(sys.argv[1:]),
    }


if __name__ == "__main__":
    sys.exit(main())
