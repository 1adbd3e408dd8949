"""What many times come to: percentiles that were really measured, and ComputeSDK's way of trimming them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that at least `share` of them do not exceed (nearest rank): one that was measured."""
    if not ordered:
        raise ValueError("no value was measured")
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


@dataclass(frozen=True, slots=True)
class Summary:
    """Milliseconds."""

    runs: int
    lowest: float
    median: float
    p90: float
    p95: float
    p99: float
    p999: float
    highest: float


def summary(seconds: Sequence[float]) -> Summary:
    """Nothing is trimmed."""
    ordered = sorted(1000 * one for one in seconds)
    shares = {"p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
    named = {name: percentile(ordered, share) for name, share in shares.items()}
    return Summary(len(ordered), ordered[0], statistics.median(ordered), highest=ordered[-1], **named)


def trimmed(seconds: Sequence[float], share: float = 0.05) -> list[float]:
    """Without the lowest and the highest `share` of them, in order."""
    ordered = sorted(seconds)
    cut = math.floor(share * len(ordered))
    return ordered[cut : len(ordered) - cut]


def computesdk_score(seconds: Sequence[float], failures: int) -> float:
    """ComputeSDK's composite score, 0 to 100: 60 % median, 25 % p95 and 15 % p99 of the trimmed times against a ceiling
    of ten seconds, times the share that succeeded."""
    if not seconds:
        return 0.0
    of = summary(trimmed(seconds))
    parts = ((of.median, 0.60), (of.p95, 0.25), (of.p99, 0.15))
    timing = sum(weight * max(0.0, 100 * (1 - value / 10_000)) for value, weight in parts)
    return timing * len(seconds) / (len(seconds) + failures)


def figures(seconds: Sequence[float]) -> dict[str, Any]:
    """A summary, and every time in milliseconds in the order in which it was measured, for the plots."""
    return {**asdict(summary(seconds)), "ms": [round(1000 * one, 4) for one in seconds]}
