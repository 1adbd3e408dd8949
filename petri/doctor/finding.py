"""What a check saw, how grave it is, why it matters and what to do: the words that every check speaks."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Generic, NamedTuple, TypeVar

_Facts = TypeVar("_Facts")


class Severity(enum.IntEnum):
    """Ordered: the worst of several findings is their `max`."""

    OK = 0
    WARN = 1  # a wall less, or a fact that an operator should know
    BAD = 2  # Petri cannot run here, or hostile code must not

    def __str__(self) -> str:
        return self.name.lower()


#: What to do where a check cannot be made.
_LOOK = "run this as root, on the engine's own machine, where nothing hides its /proc and /sys"

OK, WARN, BAD = Severity.OK, Severity.WARN, Severity.BAD


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `why` and `remedy` are for what is not well; `production`: bad for hostile code only."""

    id: str
    severity: Severity
    seen: str
    why: str = ""
    remedy: str = ""
    production: bool = False

    @property
    def is_bad(self) -> bool:
        return self.severity is BAD

    def tolerated(self) -> Finding:
        """The same, outside production mode: what is bad only for hostile code is a warning."""
        return replace(self, severity=min(self.severity, WARN)) if self.production else self

    def as_text(self) -> str:
        mark = "BAD " if self.severity is BAD else str(self.severity)
        lines = [f"{mark:<4}  {self.id:<17} {self.seen}"]
        if self.severity is not OK:
            lines += [line for line in (self.why, f"→ {self.remedy}" if self.remedy else "") if line]
        return f"\n{'':<24}".join(lines)

    def as_json(self) -> dict[str, str | bool]:
        return asdict(self) | {"severity": str(self.severity)}


class Unreadable(Exception):
    """What a check needs to know cannot be known here, and why: not the same as knowing that it is not there."""


class Verdict(NamedTuple):
    """What a check says of the facts. Without a `remedy` of its own, the check's stands."""

    severity: Severity
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check(Generic[_Facts]):
    """One question about a host for hostile code, with what docs/hardening.md says of it. Call it with the facts.

    A `look` that raises `Unreadable` has found the worst: who cannot look must not say that all is well.
    """

    id: str
    worst: Severity
    why: str  # a sentence
    remedy: str
    look: Callable[[_Facts], Verdict]

    def __call__(self, facts: _Facts) -> Finding:
        try:
            severity, seen, remedy = self.look(facts)
        except Unreadable as error:
            return Finding(self.id, self.worst, f"cannot be told: {error}", self.why, _LOOK, production=True)
        assert severity <= self.worst, f"{self.id} is documented as {self.worst} at worst"
        if severity is OK:
            return Finding(self.id, OK, seen, production=True)
        return Finding(self.id, severity, seen, self.why, remedy or self.remedy, production=True)


def check(
    name: str, *, worst: Severity, why: str, remedy: str
) -> Callable[[Callable[[_Facts], Verdict]], Check[_Facts]]:
    """Make a function from facts to a verdict a check."""
    return lambda look: Check(name, worst, why, remedy, look)
