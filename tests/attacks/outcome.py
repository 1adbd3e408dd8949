"""What must come of an attack, in four words, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 8


def _some(attempts: list[str]) -> str:
    """The names of all, or of the first and how many there are besides: the table beside the test has them."""
    shown = attempts if len(attempts) <= _SHOWN else attempts[: _SHOWN - 1]
    more = len(attempts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


@dataclass(frozen=True)
class Expected:
    """How the run must end, and what each attempt that the program reports must have come to: no more, no fewer.

    An attempt comes to an errno's name, `ok`, or whatever else its program says of it. `says`: words of standard error.
    `status` may be several: where the language's own runtime may break before Petri ends the run.
    """

    status: str | tuple[str, ...] = "succeeded"
    attempts: Mapping[str, str] = field(default_factory=dict)
    says: str = ""

    word = "EXPECTED"

    @property
    def statuses(self) -> tuple[str, ...]:
        return (self.status,) if isinstance(self.status, str) else self.status

    def __str__(self) -> str:
        """As it stands in docs/security.md."""
        by_result: dict[str, list[str]] = {}
        for attempt, result in self.attempts.items():
            by_result.setdefault(result, []).append(attempt)
        details = [f"`{result}`: {_some(attempts)}" for result, attempts in by_result.items()]
        if self.status != "succeeded":
            details.insert(0, " or ".join(f"`{status}`" for status in self.statuses))
        if self.says:
            details.append(f"“{self.says}”")
        return f"**{self.word}** {'; '.join(details)}".strip()


class Blocked(Expected):
    """Every attempt is refused, each with its error, and the program goes on."""

    word = "BLOCKED"


class Killed(Expected):
    """Petri ends the run, and says why."""

    word = "KILLED"


class Contained(Expected):
    """It happens, and its own sandbox is all that it happens to."""

    word = "CONTAINED"


class Open(Expected):
    """A limit that remains: it works. The test is there so that docs/security.md does not promise more, or less."""

    word = "OPEN"


@dataclass(frozen=True)
class Observed:
    """What the answer and the program's own report say."""

    status: str
    attempts: Mapping[str, str]
    stderr: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # numbers that are not asserted, for the table

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Observed:
        attempts: dict[str, str] = {}
        facts: dict[str, Any] = {}
        for line in answer["stdout"].splitlines():
            if line.startswith('{"attempt":'):
                report = json.loads(line)
                attempts[report["attempt"]] = report["result"]
            elif line.startswith('{"fact":'):
                report = json.loads(line)
                facts[report["fact"]] = report["value"]
        return cls(answer["status"], attempts, answer["stderr"], facts)

    def differs_from(self, expected: Expected) -> list[str]:
        """One line for each difference."""
        found = []
        if self.status not in expected.statuses:
            found.append(f"status: expected {' or '.join(expected.statuses)}, observed {self.status}")
        for attempt in sorted(self.attempts.keys() | expected.attempts.keys()):
            wanted = expected.attempts.get(attempt, "not to be tried")
            came = self.attempts.get(attempt, "no report")
            if wanted != came:
                found.append(f"{attempt}: expected {wanted}, observed {came}")
        if expected.says not in self.stderr:
            found.append(f"standard error does not say {expected.says!r}")
        return found
