"""A Petri of its own under mixed load and random faults, a census before and after, and a verdict. See docs/soak.md."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.docker.conftest import Petri, eventually, petri, run_directory
from tests.soak.callers import Caller
from tests.soak.faults import Faults
from tests.soak.remains import Remains
from tests.soak.tally import Tally

_TEMPLATES = """
[templates.python]
target = 4
max_target = 4
[templates.node]
target = 2
max_target = 2
[templates.go]
target = 1
max_target = 1
"""
_TELL_EVERY_S = 15.0
#: Promise 2: nothing is left so long after the end, and promise 4: the pool is full again so long after the last fault.
_GONE_WITHIN_S = 10.0
_FULL_WITHIN_S = 20.0
#: More than what a process keeps that has served everything once: code, caches of libraries, a heap with holes.
_GROWTH_MIB = 12.0
_GROWTH_DESCRIPTORS = 4


@dataclass(frozen=True, slots=True)
class Process:
    """What one of Petri's processes holds, while nothing is asked of it."""

    rss_mib: float
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Process:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(resident * 4096 / (1 << 20), len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def __str__(self) -> str:
        return f"{self.rss_mib:.1f} MiB, {self.descriptors} descriptors"


def held(one: Petri) -> dict[str, Process]:
    return {name: Process.of(process.pid) for name, process in one.processes.items()}


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="at least so long")
    parser.add_argument("--runs", type=int, default=0, help="at least so many runs that look for others' canaries")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of load and faults")
    parser.add_argument("--callers", type=int, default=5, help="at the same time (default: 5)")
    parser.add_argument("--calm", action="store_true", help="no faults: memory is then compared over the whole time")
    parser.add_argument(
        "--pause", type=float, default=15.0, help="seconds between two faults, on average (default: 15)"
    )
    given = parser.parse_args()
    if not given.minutes and not given.runs:
        parser.error("how long? --minutes or --runs, or both")
    return given


def main() -> int:
    asked = options()
    say(f"seed {asked.seed}; {asked.minutes:g} minutes and {asked.runs} runs at least, {asked.callers} callers")
    tally, broken = Tally(), []
    mark = f"SOAK_MARK={os.getpid()}.{asked.seed}"
    name = f"soak-{os.getpid()}"
    with run_directory() as directory, Remains(name, mark).watched() as remains:
        config = directory / "petri.toml"
        config.write_text(_TEMPLATES)
        more = {"PETRI_CONFIG": str(config), "PETRI_GATEWAY_LOG_LEVEL": "warning", "PETRI_POOL_LOG_LEVEL": "warning"}
        variable, _, value = mark.partition("=")
        say(f"before: {remains.census()}")
        with petri(directory, name, **more, **{variable: value}) as one:
            one.start("pool", "gateway")
            one.wait_until_full()
            during = remains.census()
            say(f"full:   {during}")
            if not (during.containers and during.processes and during.cgroups and during.mounts):
                broken.append(f"the census does not see what there is: {during}")
            faults = Faults(one, asked.seed, say)
            broken += _soak(asked, one, faults, tally)
            if not broken:
                broken += _again(one, tally, calm=asked.calm)
            log = "".join((directory / f"{service}.log").read_text() for service in ("pool", "gateway"))
        began = time.monotonic()
        while not (left := remains.census()).is_nothing and time.monotonic() - began < _GONE_WITHIN_S:
            time.sleep(0.2)
        say(f"after:  {left}, of {remains.ever} containers that there were ({time.monotonic() - began:.1f} s later)")
        if not left.is_nothing:
            broken.append(f"left after {_GONE_WITHIN_S:g} s: {left}")
    broken += [f"in the log: {line[:300]}" for line in log.splitlines() if "Traceback" in line or "invariant" in line]
    return _verdict(asked, tally, faults, broken)


def _soak(asked: argparse.Namespace, one: Petri, faults: Faults, tally: Tally) -> list[str]:
    """Load and faults until it is long enough. What went wrong with the soak itself is raised."""
    stop, began = threading.Event(), time.monotonic()
    errors: list[BaseException] = []

    def watched(target, *arguments) -> threading.Thread:
        def run() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                errors.append(error)
                stop.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    # Once through everything, before what is held is looked at for the first time.
    Caller(one.url, asked.seed - 1, tally, faults).call_once()
    one.wait_until_full()
    before = held(one)
    say(f"held at the beginning: {_words(before)}")
    callers = [Caller(one.url, asked.seed + number, tally, faults) for number in range(asked.callers)]
    threads = [watched(caller.call_until, stop) for caller in callers]
    if not asked.calm:
        threads.append(watched(faults.inject_until, stop, (asked.pause * 0.5, asked.pause * 1.5)))
    tell_at = began + _TELL_EVERY_S
    with _Ending(stop) as ending:
        while not stop.wait(0.2):
            now = time.monotonic()
            if now - began >= 60 * asked.minutes and tally.canaries >= asked.runs:
                stop.set()
            if now >= tell_at:
                tell_at += _TELL_EVERY_S
                most = ", ".join(f"{what} {count}" for what, count in tally.counts.most_common(8))
                say(f"{now - began:5.0f} s: {tally.canaries} canaries; {most}")
    for thread in threads:
        thread.join()
    if ending.asked:  # by Ctrl-C Petri's processes as well
        return ["interrupted: nothing can be said of the end"]
    if errors:
        raise errors[0]
    ended = time.monotonic()
    eventually(one.is_full, "every pool at its target after the last fault")
    took = time.monotonic() - ended
    say(f"every pool is at its target {took:.1f} s after the last call and fault")
    after = held(one)
    say(f"held at the end:       {_words(after)}")
    return [
        *([f"full again only after {took:.1f} s"] if took > _FULL_WITHIN_S else []),
        *(
            f"{name} holds more than at the beginning: {before[name]} → {after[name]}"
            for name in before
            if after[name].rss_mib - before[name].rss_mib > _GROWTH_MIB
            or after[name].descriptors - before[name].descriptors > _GROWTH_DESCRIPTORS
        ),
    ]


def _again(one: Petri, tally: Tally, *, calm: bool) -> list[str]:
    """After all that: does it still work, and what does it say of itself?"""
    with one.client() as client:
        metrics = client.get("/metrics").text
        ready = client.get("/readyz")
    found = []
    if ready.status_code != 200:
        found.append(f"not ready at the end: {ready.text}")
    if one.run("python", "print(6 * 7)")["stdout"] != "42\n":
        found.append("a run at the end came out wrong")
    for line in metrics.splitlines():
        if line.startswith(("petri_invariant_violations_total", "petri_unwanted_sandboxes")) and not line.endswith(
            " 0.0"
        ):
            found.append(line)
    if calm and (refused := [what for what in tally.counts if what[:3] in ("502", "503") or what.startswith("no ")]):
        found.append(f"without a fault: {refused}")
    return found


def _words(processes: dict[str, Process]) -> str:
    return "; ".join(f"{name} {process}" for name, process in processes.items())


class _Ending:
    """SIGINT and SIGTERM end the soak in order."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.asked = False

    def __enter__(self) -> _Ending:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)


def _verdict(asked: argparse.Namespace, tally: Tally, faults: Faults, broken: list[str]) -> int:
    broken += tally.broken
    say(f"slowest answer: {tally.slowest_s:.2f} s")
    for title, counts in (("answers", tally.counts), ("faults", faults.done)):
        say(f"{title}:")
        for what, count in counts.most_common():
            say(f"  {count:>7}  {what}")
    for line in broken:
        say(f"BROKEN: {line}")
    right = not broken and not tally.counts["BROKEN PROMISE"]
    say(f"verdict: {'every promise was kept' if right else 'PROMISES WERE BROKEN'} (seed {asked.seed})")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
