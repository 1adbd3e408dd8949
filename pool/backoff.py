"""Wait longer after each failed boot of one template, and say when its circuit is open."""

from __future__ import annotations

import random

import anyio

#: First delay. A single failure (an engine hiccup) should cost less than one boot.
FIRST_S = 0.2
#: Longest delay. An operator who has mended the cause waits this long at most for the pool to notice.
LONGEST_S = 15.0
#: Failures in a row after which the circuit counts as open: callers are refused at once, readiness says why.
OPEN_AFTER = 3


class Backoff:
    """Counts failures in a row. Half of each delay is random, so that many templates do not retry in step."""

    def __init__(self) -> None:
        self.failures = 0
        self.last_failure = ""
        self._not_before = float("-inf")

    def __repr__(self) -> str:
        return f"<Backoff {self.failures} failures, next in {self.remaining_s:.1f} s>"

    @property
    def is_failing(self) -> bool:
        """True from the third failure in a row until a boot succeeds."""
        return self.failures >= OPEN_AFTER

    @property
    def is_open(self) -> bool:
        """True while failing and no attempt is due yet, so that a caller would wait in vain."""
        return self.is_failing and self.remaining_s > 0

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._not_before - anyio.current_time())

    def failed(self, why: str) -> None:
        delay = min(LONGEST_S, FIRST_S * 2**self.failures)
        self.failures += 1
        self.last_failure = why
        self._not_before = anyio.current_time() + delay * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        self.failures = 0
        self.last_failure = ""
        self._not_before = float("-inf")

    async def wait(self) -> None:
        """Until the next attempt is allowed."""
        await anyio.sleep_until(self._not_before)
