"""Numbers of the pool: what is there now, and what has happened since the start. Plain: any face can show them."""

from __future__ import annotations

import bisect
from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict

#: Upper bounds in seconds. From 0.1 ms (a thaw is about 0.05 ms) to a minute (a boot that hung), about two and a half
#: steps for each factor of ten: enough to place a percentile, few enough to scrape.
BOUNDS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


#: In characters, of what the engine says of a sandbox that it does not remove. Many of them share one packet.
LONGEST_REASON = 200

#: Why leases are refused: no place in the queue; a place lost to a caller with fewer; a place that could not be
#: reached in time; nothing to lease (boots fail, a thaw did, the self-check is not over, an invariant is violated); the
#: pool shuts down.
REFUSALS = ("queue_full", "displaced", "hopeless", "unavailable", "draining")


class HistogramSnapshot(BaseModel):
    """Counts per bucket, not cumulative; the last is for everything above the last bound."""

    model_config = ConfigDict(frozen=True)

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Histogram:
    """Counts durations in fixed buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self._sum += seconds

    def snapshot(self) -> HistogramSnapshot:
        return HistogramSnapshot(bounds=BOUNDS_S, counts=tuple(self._counts), sum=self._sum)


class Sizing(BaseModel):
    """Where the target comes from: pool/sizing.py has the arithmetic."""

    model_config = ConfigDict(frozen=True)

    because: Literal["low", "parallel", "queue", "high"]
    low: int
    high: int
    arrivals_per_s: float  # of leases, lately
    boot_s: float  # a boot's time, lately; 0 before the first


class PoolSnapshot(BaseModel):
    """One warm pool at one moment, and its totals since the start."""

    model_config = ConfigDict(frozen=True)

    template: str
    target: int
    sizing: Sizing
    ready: int
    booting: int
    leased: int
    doomed: int
    quarantined: int  # of the doomed, those that the engine has failed to remove
    waiting: int
    refill_per_s: float | None  # become ready while they are wanted; None before enough was measured
    image: str
    engine: str
    freezer: str
    trouble: str | None  # what keeps it from leasing at once; None when nothing does
    lease_outcomes: dict[str, int]  # hit, waited, timeout, refused
    refusals: dict[str, int]  # of the refused, by reason: REFUSALS
    boot_failures: dict[str, int]  # by reason
    histograms: dict[str, HistogramSnapshot]  # lease_seconds, boot_seconds, destroy_seconds, thaw_seconds


class SandboxView(BaseModel):
    """One sandbox as an operator sees it."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: str
    seconds: float  # in this state
    reason: str  # why it came into it; of the quarantined also why it is not removed


class PoolStats(BaseModel):
    """Every pool of a fleet."""

    model_config = ConfigDict(frozen=True)

    pools: tuple[PoolSnapshot, ...]
    unwanted: int  # containers with our label that the fleet does not know
    invariant_violations: int = 0  # of what pool/invariants.py looks at; any is a bug


class Totals:
    """What one warm pool counts."""

    def __init__(self) -> None:
        self.lease_outcomes = Counter({outcome: 0 for outcome in ("hit", "waited", "timeout", "refused")})
        self.refusals = Counter(dict.fromkeys(REFUSALS, 0))
        self.boot_failures: Counter[str] = Counter()
        self.lease_seconds = Histogram()
        self.boot_seconds = Histogram()
        self.destroy_seconds = Histogram()
        self.thaw_seconds = Histogram()

    def refused(self, reason: str) -> None:
        self.refusals[reason] += 1
        self.lease_outcomes["refused"] += 1

    def histograms(self) -> dict[str, HistogramSnapshot]:
        return {
            "lease_seconds": self.lease_seconds.snapshot(),
            "boot_seconds": self.boot_seconds.snapshot(),
            "destroy_seconds": self.destroy_seconds.snapshot(),
            "thaw_seconds": self.thaw_seconds.snapshot(),
        }
