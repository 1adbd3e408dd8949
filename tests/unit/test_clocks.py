"""No deadline comes from the wall clock, which jumps.

CLOCK_MONOTONIC, which is behind `time.monotonic`, `time.perf_counter` and the event loops' clocks, does not: what is
left to see to is that nothing here asks the other one.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What a wall clock is called, and the one place that shows one to people: when a sandbox was made and will expire.
_WALL = {
    "time.time",
    "time.time_ns",
    "time.gmtime",
    "time.localtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
}
_SHOWN = {("gateway/sessions.py", "datetime.now")}


def calls(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            found.add(f"{node.func.value.id}.{node.func.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found |= {f"time.{name.name}" for name in node.names}
    return found


def test_no_deadline_comes_from_the_wall_clock():
    asked = {
        (str(path.relative_to(ROOT)), call)
        for package in ("pool", "gateway", "runners")
        for path in (ROOT / package).rglob("*.py")
        if "images" not in path.parts  # which dates what it builds
        for call in calls(path) & _WALL
    }
    assert asked == _SHOWN
