"""How fast sandboxes come, what that means for who waits, and when who is refused should come back. Arithmetic only.

The clock, in seconds, is the caller's.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter

#: Sandboxes that must have come while they were wanted before their rate is believed: until then nobody is refused for
#: it. Fewer would take the first boot's time, which a cold disk makes long, for the rate.
_BELIEVED_FROM = 4
#: What a refused caller is told while nothing has been measured. A pool is full a second or two after its start.
UNMEASURED_S = 2.0
#: The longest that anybody is told to stay away. Longer than this nobody's estimate holds.
LONGEST_S = 600.0

#: Of those who were told to come back, so many are remembered. The time to look at them is spent at each refusal.
_MOST_AWAY = 1000


class RefillRate:
    """Sandboxes that became ready per second, counted only while they were wanted.

    A full pool boots nothing, which says nothing of how fast it could. Two averages over such time: a short one, that
    sees a recovery at once, and a long one.
    """

    #: POLICY: seconds, of wanting, after which what was measured weighs 1/e. The short one is a handful of boots; the
    #: long one should outlive a slow moment of the engine.
    SHORT_S = 2.0
    LONG_S = 30.0

    def __init__(self) -> None:
        self._short = _WhileWanted(self.SHORT_S)
        self._long = _WhileWanted(self.LONG_S)
        self._wanted_since: float | None = None
        self._came = 0

    def __repr__(self) -> str:
        return f"<RefillRate {self._long.per_s():.2f}/s, {self._came} counted>"

    def look(self, now: float, *, wanted: bool) -> None:
        """Whether more are wanted than there are, from now on."""
        self._pass(now)
        self._wanted_since = now if wanted else None

    def became_ready(self, now: float) -> None:
        if self._wanted_since is None:
            return
        self._pass(now)
        self._came += 1
        self._short.came()
        self._long.came()

    def cautious_per_s(self, now: float) -> float | None:
        """For promises: the lower of the two averages; None before enough was measured."""
        return min(measured) if (measured := self._averages(now)) else None

    def hopeful_per_s(self, now: float) -> float | None:
        """For refusals: the higher one."""
        return max(measured) if (measured := self._averages(now)) else None

    def _averages(self, now: float) -> tuple[float, float] | None:
        self._pass(now)
        if self._came < _BELIEVED_FROM:
            return None
        return self._short.per_s(), self._long.per_s()

    def _pass(self, now: float) -> None:
        if self._wanted_since is not None:
            self._short.passed(now - self._wanted_since)
            self._long.passed(now - self._wanted_since)
            self._wanted_since = now


class _WhileWanted:
    """Events per second of such time as is told."""

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._events = 0.0
        self._seconds = 0.0

    def passed(self, seconds: float) -> None:
        weight = math.exp(-seconds / self._over_s)
        self._events *= weight
        # What passes now loses weight while it passes: the integral, not the whole.
        self._seconds = self._seconds * weight + self._over_s * (1 - weight)

    def came(self) -> None:
        self._events += 1.0

    def per_s(self) -> float:
        return self._events / self._seconds if self._seconds > 0 else math.inf


def is_hopeless(ahead: int, per_s: float | None, within_s: float) -> bool:
    """With so many ahead, who comes now would wait in vain. Never true of the first in line, or of an unknown rate."""
    return per_s is not None and ahead > 0 and ahead > per_s * within_s


def retry_after_s(before: int, per_s: float | None, *, not_before_s: float = 0.0) -> float:
    """When a caller who was refused finds a sandbox: after the `before` who are served first, and one more.

    `not_before_s`: nothing comes any sooner. At least a second, at most `LONGEST_S`.
    """
    if per_s is None:
        return max(1.0, not_before_s, UNMEASURED_S)
    wait_s = (before + 1) / per_s if per_s > 0 else LONGEST_S
    return min(max(1.0, not_before_s + wait_s), LONGEST_S)


class Returns:
    """Callers who were told when to come back, and have not had the time to: they go before who is refused later.

    Without this all that are refused in one moment would be told the same, come together, and be refused again. Fair as
    the queue is: what one caller was told counts for another no more often than the other's own.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, str]] = []
        self._of: Counter[str] = Counter()

    def ahead_of(self, caller: str, now: float) -> int:
        while self._due and self._due[0][0] <= now:
            _, returned = heapq.heappop(self._due)
            self._of[returned] -= 1
            if not self._of[returned]:
                del self._of[returned]
        own = self._of.get(caller, 0)
        return own + sum(min(away, own + 1) for other, away in self._of.items() if other != caller)

    def told(self, caller: str, now: float, in_s: float) -> None:
        if len(self._due) < _MOST_AWAY:
            heapq.heappush(self._due, (now + math.ceil(in_s), caller))
            self._of[caller] += 1
