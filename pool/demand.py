"""How often sandboxes are asked for lately, and how long they take to boot. The clock, in seconds, is the caller's."""

from __future__ import annotations

import math


class ArrivalRate:
    """Arrivals per second, weighted toward now: up at once, down slowly.

    Two exponential averages, and the larger of them counts: a short one that a rise fills at once, and a long one that
    remembers it after the rise is over.
    """

    #: POLICY: seconds after which an arrival weighs 1/e. The short one must see a rise before a pool of a few has run
    #: dry, the long one outlive the pauses within a batch of runs.
    SHORT_S = 1.0
    LONG_S = 60.0

    def __init__(self) -> None:
        self._short = _Average(self.SHORT_S)
        self._long = _Average(self.LONG_S)

    def arrived(self, now: float) -> None:
        self._short.add(now)
        self._long.add(now)

    def per_s(self, now: float) -> float:
        return max(self._short.per_s(now), self._long.per_s(now))


class _Average:
    """Events per second over about `over_s`."""

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._sum = 0.0  # of the events' weights, as of `_at`
        self._at = 0.0

    def add(self, now: float) -> None:
        self._sum = self._sum * self._decay(now) + 1.0
        self._at = now

    def per_s(self, now: float) -> float:
        return self._sum * self._decay(now) / self._over_s

    def _decay(self, now: float) -> float:
        return math.exp(min(0.0, self._at - now) / self._over_s)


class BootTime:
    """Seconds that a boot takes, the latest weighing the most."""

    #: POLICY: weight of the newest. A handful of boots is what a change in the machine's load should take to show.
    _WEIGHT = 0.2

    def __init__(self) -> None:
        self._mean_s: float | None = None

    def took(self, seconds: float) -> None:
        self._mean_s = seconds if self._mean_s is None else self._mean_s + self._WEIGHT * (seconds - self._mean_s)

    @property
    def mean_s(self) -> float:
        """0 before the first."""
        return self._mean_s or 0.0
