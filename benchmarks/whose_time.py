"""Whose processor time a run is: each slice of each processor, as the kernel's scheduler tells, while requests run.

Two ways: one request at a time on a machine that is otherwise at rest, and a burst as large as the pool. Only the time
between a request's first byte and its answer's last counts; in the burst, until the last of all.
By the names of threads: another python3 or runc of the host's is counted with Petri's, so the machine should do nothing
else. Needs root and the `perf` of the running kernel's tools (Debian: linux-perf); without them the part is left out.
"""

from __future__ import annotations

import bisect
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import schedule
from benchmarks.bench import Bench, Results
from benchmarks.instance import Petri, of_size
from benchmarks.load import errors, follow
from benchmarks.programs import one_shots

TITLE = "Whose time a run is"
_ALONE_EVERY_S = 0.7
_ALONE = 12
#: Of a switch: processor, when, and who is next.
_SWITCH = re.compile(r"\[(\d+)\]\s+([\d.]+): .*next_comm=(.*?) next_pid=(\d+)")
#: By the beginning of a thread's name, as the kernel has it.
_WHO = {
    "dockerd": "engine", "containerd-shim": "shim", "containerd": "engine", "runc": "runc", "agent": "agent",
    "python3": "program", "swapper": "idle", "kworker": "kernel", "ksoftirqd": "kernel", "rcu": "kernel",
}  # fmt: skip

Window = tuple[float, float]  # from, to: seconds on CLOCK_MONOTONIC, which `time.perf_counter` reads, too
Slice = tuple[float, float, str]  # the same, and who


def run(bench: Bench) -> Results:
    if shutil.which("perf") is None or os.geteuid() != 0:
        bench.say("left out: needs root and perf")
        return {"left out": "needs root and perf"}
    found: Results = {}
    for name, shoot in {"alone": _alone, "burst": _burst}.items():
        file = bench.work / "perf.data"
        with bench.petri({"python": of_size(bench.effort.runs)}) as petri:
            time.sleep(_ALONE_EVERY_S)
            with _recording(file):
                runs, windows = shoot(petri, bench.effort.runs)
            pids = {petri.gateway_pid: "gateway", petri.pool_pid: "pool", os.getpid(): "client"}
            spent = _spent(_slices(file, {pid: who for pid, who in pids.items() if pid}), windows)
        file.unlink()
        whose = {who: round(1000 * seconds / runs, 3) for who, seconds in spent.most_common()}
        found[name] = {"runs": runs, "ms_a_run": whose}
        bench.say(f"{name}: " + ", ".join(f"{who} {ms:.2f}" for who, ms in whose.items()) + " ms a run")
    return found


def _alone(petri: Petri, runs: int) -> tuple[int, list[Window]]:
    """One at a time; the pool is full again before the next."""
    send = one_shots(petri.url, "python")()
    windows = []
    for _ in range(min(runs, _ALONE)):
        petri.wait_until_full()
        time.sleep(_ALONE_EVERY_S)
        began = time.perf_counter()
        judge = send()
        windows.append((began, time.perf_counter()))
        judge()
    return len(windows), windows


def _burst(petri: Petri, runs: int) -> tuple[int, list[Window]]:
    shots = follow(schedule.at_once(runs), runs, one_shots(petri.url, "python"))
    ended = time.perf_counter()
    if faults := errors(shots):
        raise RuntimeError(f"not all runs were right: {faults}")
    # `follow` counts from a moment that it chose; the last answer is the last thing that it waited for.
    return runs, [(ended - max(shot.ended for shot in shots), ended)]


@contextmanager
def _recording(file: Path) -> Iterator[None]:
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-a", "-k", "CLOCK_MONOTONIC", "-e", "sched:sched_switch", "-o", str(file)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        give_up = time.monotonic() + 10
        while not (file.exists() and file.stat().st_size):  # it writes its head once it records
            if perf.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("perf does not record")
            time.sleep(0.05)
        yield
    finally:
        perf.terminate()
        perf.wait(30)


def _slices(file: Path, pids: dict[int, str]) -> Iterator[Slice]:
    fields = ["-F", "cpu,time,event,trace", "--ns"]
    script = subprocess.run(["perf", "script", "-i", str(file), *fields], capture_output=True, text=True, check=True)
    running: dict[str, tuple[float, str]] = {}  # by processor: since when, and who
    threads: dict[int, str] = {}
    own_name = Path("/proc/self/comm").read_text().strip()  # the clients' threads have ended, and had it
    for line in script.stdout.splitlines():
        if not (found := _SWITCH.search(line)):
            continue
        processor, when, name, tid = found[1], float(found[2]), found[3], int(found[4])
        if processor in running:
            yield running[processor][0], when, running[processor][1]
        if tid not in threads:
            threads[tid] = next((who for pid, who in pids.items() if Path(f"/proc/{pid}/task/{tid}").exists()), "")
        by_name = "client" if name == own_name else "others"
        by_name = next((who for begin, who in _WHO.items() if name.startswith(begin)), by_name)
        running[processor] = when, threads[tid] or by_name


def _spent(slices: Iterable[Slice], windows: Sequence[Window]) -> Counter[str]:
    """Seconds by who, of those within the windows; idle ones are nobody's."""
    spent: Counter[str] = Counter()
    begins = [begin for begin, _ in windows]
    for began, ended, who in slices:
        at = max(0, bisect.bisect_right(begins, began) - 1)
        for begin, end in windows[at : at + 2]:
            inside = min(ended, end) - max(began, begin)
            if inside > 0 and who != "idle":
                spent[who] += inside  # type: ignore[assignment]  # a Counter counts what one likes
    return spent
