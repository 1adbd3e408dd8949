"""Other ways to run a line of Python, side by side in one run on one machine: each back to back, nothing trimmed.

What they isolate differs, and the table says so: a fresh sandbox is not the same as a container that others have used.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any

from benchmarks import peer_llm_sandbox, timing
from benchmarks.bench import Bench, Results
from benchmarks.engine import Engine, running
from benchmarks.instance import of_size
from benchmarks.programs import ARGV, CODE, OUTPUT, docker_run
from benchmarks.sequential import commands, sequence

TITLE = "Peers"


def run(bench: Bench) -> Results:
    runs = bench.effort.peer_runs
    rows: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with bench.petri({"python": of_size(runs)}) as petri:
        rows["petri"] = sequence(petri, "python", runs) | {"isolation": "fresh sandbox, frozen until then"}
    rows["docker run"] = _row(commands([docker_run("python")] * (runs + 1)), "fresh container")
    with running("python") as container:
        exec_line = ["docker", "exec", container, *ARGV["python"]]
        rows["docker exec"] = _row(commands([exec_line] * (runs + 1)), "one container for all")
        rows["exec over the API"] = _row(_execs(container, runs + 1), "one container for all")
        rows["unpause + exec over the API"] = _row(_unpaused(container, runs + 1), "one container for all")
    try:
        pooled, unpooled = peer_llm_sandbox.measure(runs, max(2, runs // 5))
        rows["llm-sandbox, pool"] = _row(pooled, "a few containers for all, used again and again")
        rows["llm-sandbox"] = _row(unpooled, "fresh container")
    except Exception as fault:  # somebody else's program: its fault is told, and the rest goes on
        left_out["llm-sandbox"] = f"{type(fault).__name__}: {fault}"[:500]
    if shutil.which("bwrap") is None:
        left_out["bubblewrap"] = "bwrap is not installed"
    else:
        try:
            rows["bubblewrap + python3"] = _row(commands([_bubblewrap()] * (runs + 1)), "fresh namespaces, no limits")
            rows["python3, no sandbox"] = _row(commands([[_host_python(), "-c", CODE["python"]]] * (runs + 1)), "none")
        except RuntimeError as fault:
            left_out["bubblewrap"] = str(fault)
    for name, row in rows.items():
        bench.say(f"{name}: {row['median']:.1f} ms")
    for name, why in left_out.items():
        bench.say(f"{name}: left out, {why}")
    return {"rows": rows, "left_out": left_out, "versions": versions()}


def _row(seconds: list[float], isolation: str) -> dict[str, Any]:
    """Without the first, which warms up."""
    return timing.figures(seconds[1:]) | {"isolation": isolation}


def _execs(container: str, runs: int) -> list[float]:
    engine, seconds = Engine(), []
    for _ in range(runs):
        before = time.perf_counter()
        said = engine.exec_run(container, ARGV["python"])
        seconds.append(time.perf_counter() - before)
        assert said == OUTPUT.encode(), said
    return seconds


def _unpaused(container: str, runs: int) -> list[float]:
    """Of unpausing and running; pausing again is not counted."""
    engine, seconds = Engine(), []
    for _ in range(runs):
        engine.call("POST", f"/containers/{container}/pause")
        before = time.perf_counter()
        engine.call("POST", f"/containers/{container}/unpause")
        said = engine.exec_run(container, ARGV["python"])
        seconds.append(time.perf_counter() - before)
        assert said == OUTPUT.encode(), said
    return seconds


def _host_python() -> str:
    """The distribution's, which all of the file system's root has; not that of an environment."""
    return "/usr/bin/python3"


def _bubblewrap() -> list[str]:
    walls = ["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    return ["bwrap", *walls, "--tmpfs", "/tmp", _host_python(), "-c", CODE["python"]]


def versions() -> dict[str, str]:
    from importlib.metadata import version

    found = {"docker": Engine().version(), "llm-sandbox": version("llm-sandbox")}
    for name, argv in (("bubblewrap", ["bwrap", "--version"]), ("python3 of the host", [_host_python(), "-V"])):
        if shutil.which(argv[0]):
            found[name] = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()[-1]
    return found
