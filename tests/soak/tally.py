"""Count how requests were answered, and keep what broke a promise."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

#: Broken promises that are kept word for word. After so many the first ones say enough.
_KEPT = 50
#: A caller does as Retry-After says, up to this: a soak is there to ask.
_LONGEST_WAIT_S = 2.0


@dataclass
class Tally:
    """Shared by the callers' threads."""

    counts: Counter[str] = field(default_factory=Counter)
    canaries: int = 0
    slowest_s: float = 0.0
    broken: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def canary(self) -> None:
        with self._lock:
            self.canaries += 1

    def took(self, seconds: float) -> None:
        with self._lock:
            self.slowest_s = max(self.slowest_s, seconds)

    def promise(self, kept: object, what: str) -> None:
        """A promise, and whether it was kept."""
        if kept:
            return
        with self._lock:
            self.counts["BROKEN PROMISE"] += 1
            if len(self.broken) < _KEPT:
                self.broken.append(f"{time.strftime('%H:%M:%S')} {what}")

    def refusal(self, answer: httpx.Response, *, ran_perhaps: bool) -> None:
        """An answer that is no 2xx to a request that is right: ours to explain, and never called the guest's."""
        try:
            problem = answer.json()
            code, retryable = problem["code"], problem["retryable"]
        except (ValueError, KeyError):
            self.promise(False, f"an answer that is no problem: {answer.status_code} {answer.text[:200]}")
            return
        self.count(f"{answer.status_code} {code}")
        self.promise(answer.status_code in (409, 410, 429, 502, 503), f"{answer.status_code} {code}: {problem}")
        if answer.status_code in (429, 503) and retryable:
            wait = answer.headers.get("retry-after", "")
            self.promise(wait.isdecimal(), f"no Retry-After: {problem}")
            time.sleep(min(int(wait or 1), _LONGEST_WAIT_S))
        if code == "sandbox_lost" and retryable:
            unsent = "before anything was sent" in problem["detail"]
            self.promise(unsent or not ran_perhaps, f"retryable though code may have run: {problem}")
