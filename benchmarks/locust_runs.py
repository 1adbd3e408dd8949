"""The same load with locust, as a second opinion: benchmarks/locustfile.py, headless, one-shot and session users."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.bench import Bench, Results

TITLE = "locust"
USERS = 8


def run(bench: Bench) -> Results:
    report = bench.work / "locust"
    seconds = max(5, round(bench.effort.loop_s / 2))
    with bench.petri({"python": {}}) as petri:
        argv = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless"]
        argv += ["--host", petri.url, "--users", str(USERS), "--spawn-rate", str(USERS), "--run-time", f"{seconds}s"]
        argv += ["--json-file", str(report), "--only-summary", "--reset-stats", "--exit-code-on-error", "0"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 120)
    if done.returncode != 0:
        raise RuntimeError(f"locust ended with status {done.returncode}: {done.stderr[-1500:]}")
    rows = json.loads(report.with_suffix(".json").read_text())
    found: Results = {"users": USERS, "seconds": seconds, "rows": [_row(one) for one in rows]}
    for row in found["rows"]:
        bench.say(f"{row['name']}: {row['requests']} requests, {row['failures']} failed, p99.9 {row['p99.9']} ms")
    return found


def _row(stats: dict[str, object]) -> dict[str, object]:
    """locust's histogram has milliseconds as keys."""
    times = stats["response_times"]
    assert isinstance(times, dict)
    counted = sorted((float(time), int(count)) for time, count in times.items())
    return {
        "name": f"{stats['method']} {stats['name']}",
        "requests": stats["num_requests"],
        "failures": stats["num_failures"],
        **{f"p{100 * share:g}": _at(counted, share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)},
    }


def _at(counted: list[tuple[float, int]], share: float) -> float:
    need, seen = share * sum(count for _, count in counted), 0
    for time, count in counted:
        seen += count
        if seen >= need - 1e-9:
            return time
    return 0.0
