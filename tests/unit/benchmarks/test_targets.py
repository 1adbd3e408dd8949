import copy
from typing import Any

import pytest

from benchmarks.targets import TARGETS, verdicts


def row(median: float, **more: Any) -> dict[str, Any]:
    return {"median": median, "p99": 2 * median, "misses": 0, "errors": {}, **more}


#: A run in which every target is just met.
GOOD: dict[str, Any] = {
    "sequential": {
        "python": {"petri": row(2.0, p99=8.0), "docker run": row(200.0)},
        "node": {"petri": row(3.0), "docker run": row(180.0)},
        "go": {"petri": row(60.0), "docker run": row(400.0)},
    },
    "go_build": {"bare compile + link + run": row(50.0), "go run": row(80.0)},
    "second_exec": {"first": row(2.0), "second": row(3.0)},
    "tti": {"burst": row(100.0, last_ms=300.0)},
    "peers": {"rows": {"petri": row(2.0), "docker exec": row(30.0), "llm-sandbox, pool": row(80.0)}},
    "sustained": {
        "rate": 9.0,
        "errors": {},
        "bare": {"rate": 10.0},
        "rss_mib_before": {"gateway": 50.0, "pool": 60.0},
        "rss_mib_after": {"gateway": 50.5, "pool": 60.0},
        "cpu_ms_per_run": {"together": 1.5},
    },
    "open_loop": row(2.0, p99=20.0, cpu_ms_per_run={"together": 1.2}),
    "idle": {"cpu_ms": {"in the sandboxes": 0.0, "their shims": 3.0}, "mib_together": 16.0},
    "start_up": {"ratio": 0.8},
}

#: Each a little beyond what a target allows, and how many targets then are not met.
BEYOND: list[tuple[tuple[str, ...], Any, int]] = [
    (("sequential", "python", "petri", "median"), 2.01, 1),
    (("sequential", "python", "petri", "p99"), 8.1, 1),
    (("sequential", "node", "petri", "median"), 3.1, 1),
    (("sequential", "go", "petri", "median"), 60.5, 1),
    (("sequential", "go", "petri", "median"), 66.0, 2),
    (("go_build", "go run", "median"), 79.0, 1),
    (("peers", "rows", "llm-sandbox, pool", "median"), 79.0, 1),
    (("peers", "rows", "docker exec", "median"), 29.0, 1),
    (("second_exec", "second", "median"), 3.1, 1),
    (("tti", "burst", "median"), 101.0, 1),
    (("tti", "burst", "last_ms"), 301.0, 1),
    (("tti", "burst", "errors"), {"503": 1}, 1),
    (("sustained", "rate"), 8.9, 1),
    (("sustained", "errors"), {"503": 1}, 1),
    (("sustained", "rss_mib_after", "pool"), 67.0, 1),
    (("sustained", "cpu_ms_per_run", "together"), 1.6, 1),
    (("open_loop", "p99"), 21.0, 1),
    (("open_loop", "misses"), 1, 1),
    (("open_loop", "errors"), {"503": 1}, 1),
    (("open_loop", "cpu_ms_per_run", "together"), 1.6, 1),
    (("idle", "cpu_ms", "in the sandboxes"), 1.0, 1),
    (("idle", "mib_together"), 16.1, 1),
    (("start_up", "ratio"), 0.79, 1),
]


def test_a_good_run_meets_every_target() -> None:
    assert {one.what: one.met for one in verdicts(GOOD)} == {target.what: True for target in TARGETS}


@pytest.mark.parametrize(
    ("path", "value", "missed"), BEYOND, ids=lambda one: ".".join(one) if type(one) is tuple else ""
)
def test_a_little_beyond_is_not_met(path: tuple[str, ...], value: Any, missed: int) -> None:
    results = copy.deepcopy(GOOD)
    inner = results
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert sum(one.met is False for one in verdicts(results)) == missed


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert [one.met for one in verdicts({})] == [None] * len(TARGETS)
    without_peers = {name: part for name, part in GOOD.items() if name != "peers"}
    assert sum(one.met is None for one in verdicts(without_peers)) == 2


def test_a_gateway_whose_memory_is_not_seen_does_not_fail_for_it() -> None:
    results = copy.deepcopy(GOOD)
    results["sustained"] |= {"rss_mib_before": {}, "rss_mib_after": {}}
    assert all(one.met for one in verdicts(results))
