"""Show where the time of one run went: the stages of a Server-Timing header, in the order in which they happened."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STAGE = re.compile(r"([\w-]+);dur=([\d.e+-]+)")
#: Stages that are made up of others, and where those stand under them.
_PARTS = {"thaw": "lease", "send": "run", "first-byte": "run", "exit": "run"}
_MEANS = {
    "parse": "read the request and check it",
    "queue": "wait for a sandbox to be ready",
    "lease": "take one and hand it over",
    "thaw": "let its processes go on",
    "run": "the program, from its sending to its end",
    "send": "send it",
    "first-byte": "until it printed something",
    "exit": "until its end",
    "respond": "make the answer",
    "total": "from the request's head to its answer",
}
_BAR = 40


def stages(server_timing: str) -> dict[str, float]:
    """Milliseconds by stage."""
    return {stage: float(duration) for stage, duration in _STAGE.findall(server_timing)}


def table(server_timing: str) -> Iterator[str]:
    """Lines: stage, milliseconds, a bar in proportion to the total, and what it is. Parts come under their whole."""
    taken = stages(server_timing)
    longest = max(taken.get("total", 0.0), 0.001)
    wholes = [stage for stage in taken if stage not in _PARTS]
    for whole in wholes:
        for stage in (whole, *(part for part in taken if _PARTS.get(part) == whole)):
            name = f"  {stage}" if stage in _PARTS else stage
            bar = "█" * round(_BAR * min(1.0, taken[stage] / longest))
            yield f"{name:<13}{taken[stage]:>9.3f} ms  {bar:<{_BAR}}  {_MEANS.get(stage, '')}".rstrip()
