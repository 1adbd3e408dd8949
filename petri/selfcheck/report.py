"""What a self-check found out about one template's sandboxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from petri.selfcheck.probe import Result


@dataclass(frozen=True, slots=True)
class Report:
    """Every probe of one sandbox. Without any result nothing was looked at, which is not well."""

    template: str
    image: str
    runtime: str
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        return bool(self.results) and all(result.ok for result in self.results)

    def faults(self) -> list[str]:
        """A sentence for each thing that is wrong, beginning with the probe's name."""
        return [f"{result.probe}: {fault}" for result in self.results for fault in result.faults]

    def as_json(self) -> dict[str, Any]:
        return {
            "template": self.template,
            "image": self.image,
            "runtime": self.runtime,
            "ok": self.ok,
            "probes": [result.as_json() for result in self.results],
        }

    def as_text(self) -> str:
        looked = [result for result in self.results if not result.skipped]
        good = sum(result.ok for result in looked)
        lines = [f"{self.template}: {good} of {len(looked)} probes well ({self.image[:19]}, {self.runtime})"]
        for result in self.results:
            if not result.ok:
                lines += [f"  BAD   {result.probe:<15} {fault}" for fault in result.faults]
                lines.append(f"{'':<24}→ expected: {result.expected}")
            elif result.skipped:
                lines.append(f"  -     {result.probe:<15} {result.skipped}")
        return "\n".join(lines)
