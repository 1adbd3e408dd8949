"""One question about a sandbox's walls: what is expected, and how the answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from petri.selfcheck.circumstances import Circumstances

_Seen = TypeVar("_Seen", bound=BaseModel)

#: Says each thing that is wrong, in words that name what was seen; nothing when all is well.
Judge = Callable[[_Seen, Circumstances], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """One probe of one sandbox. `faults` is empty when all is well, or when the probe does not apply."""

    probe: str
    expected: str
    observed: Any  # JSON, as the program said it
    faults: tuple[str, ...] = ()
    skipped: str = ""  # why it says nothing under this runtime

    @property
    def ok(self) -> bool:
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "probe": self.probe,
            "ok": self.ok,
            "expected": self.expected,
            "observed": self.observed,
        }
        if self.faults:
            found["faults"] = list(self.faults)
        if self.skipped:
            found["skipped"] = self.skipped
        return found


@dataclass(frozen=True, slots=True)
class Probe(Generic[_Seen]):
    """A row of the table in `probes`."""

    name: str
    expected: str  # a phrase
    seen: type[_Seen]
    judge: Judge[_Seen]
    #: Runtime → why the probe says nothing there. An entry is a wall that nobody looks at: it needs its reason.
    not_under: Mapping[str, str] = field(default_factory=dict)

    def result(self, observed: Any, circumstances: Circumstances) -> Result:
        """Judge what was observed; something that makes no sense is a fault, too."""
        if skipped := self.not_under.get(circumstances.runtime):
            return Result(self.name, self.expected, observed, skipped=skipped)
        try:
            seen = self.seen.model_validate(observed)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return Result(self.name, self.expected, observed, (f"not an observation: {first['msg']}",))
        return Result(self.name, self.expected, observed, tuple(self.judge(seen, circumstances)))

    def failed(self, why: str, circumstances: Circumstances) -> Result:
        """It could not be observed."""
        skipped = self.not_under.get(circumstances.runtime, "")
        return Result(self.name, self.expected, None, () if skipped else (why,), skipped)


def probe(
    name: str, seen: type[_Seen], *, expected: str, not_under: Mapping[str, str] | None = None
) -> Callable[[Judge[_Seen]], Probe[_Seen]]:
    """Make a judge a row of the table."""
    return lambda judge: Probe(name, expected, seen, judge, not_under or {})
