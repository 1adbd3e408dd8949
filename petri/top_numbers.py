"""What `petri top` shows, out of the gateway's own numbers: totals of two moments make a rate. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

#: A minute at a sample a second: long enough for a share of hits to mean something, short enough to be "lately".
_KEPT = 61
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway's answers at one moment. `pools` by template; totals by their labels."""

    at: float  # seconds, any clock that only goes forward
    pools: Mapping[str, Mapping[str, Any]]
    runs: Mapping[Labels, float]  # by template and status
    leases: Mapping[Labels, float]  # by template and outcome
    connections: float
    unwanted: float
    violations: float

    @classmethod
    def of(cls, at: float, pools: list[dict[str, Any]], metrics: str) -> Sample:
        """From `GET /v1/pools` and `GET /metrics`."""
        totals: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                label_values = tuple(sample.labels[name] for name in _LABELS.get(sample.name, ()))
                totals.setdefault(sample.name, {})[label_values] = sample.value
        return cls(
            at=at,
            pools={pool["template"]: pool for pool in pools},
            runs=totals.get("petri_runs_total", {}),
            leases=totals.get("petri_leases_total", {}),
            connections=totals.get("petri_http_connections", {}).get((), 0.0),
            unwanted=totals.get("petri_unwanted_sandboxes", {}).get((), 0.0),
            violations=totals.get("petri_invariant_violations_total", {}).get((), 0.0),
        )


_LABELS: Mapping[str, Labels] = {
    "petri_runs_total": ("template", "status"),
    "petri_leases_total": ("template", "outcome"),
}


class Recent:
    """The last minute's samples."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_KEPT)

    def add(self, sample: Sample) -> None:
        """The newest. What came before a restart, when totals begin again at nothing, is forgotten."""
        if self._samples and (_fell(self.newest.runs, sample.runs) or _fell(self.newest.leases, sample.leases)):
            self._samples.clear()
        self._samples.append(sample)

    @property
    def newest(self) -> Sample:
        return self._samples[-1]

    def runs_per_s(self, template: str, status: str) -> float | None:
        """Between the last two samples; None with fewer."""
        return self._per_s("runs", (template, status))

    def leases_per_s(self, template: str, outcome: str) -> float | None:
        return self._per_s("leases", (template, outcome))

    def hit_rate(self, template: str, *, lately: bool) -> float | None:
        """Share of the leases that found a sandbox ready; None when there were none."""
        now = _of_template(self.newest.leases, template)
        if lately:
            before = _of_template(self._samples[0].leases, template)
            now = {outcome: total - before.get(outcome, 0.0) for outcome, total in now.items()}
        asked = sum(now.values())
        return now.get("hit", 0.0) / asked if asked else None

    def _per_s(self, what: str, labels: Labels) -> float | None:
        if len(self._samples) < 2:
            return None
        before, now = self._samples[-2], self._samples[-1]
        rise = getattr(now, what).get(labels, 0.0) - getattr(before, what).get(labels, 0.0)
        return float(rise / (now.at - before.at))


def _of_template(totals: Mapping[Labels, float], template: str) -> dict[str, float]:
    return {second: total for (name, second), total in totals.items() if name == template}


def _fell(before: Mapping[Labels, float], now: Mapping[Labels, float]) -> bool:
    return any(now.get(labels, 0.0) < total for labels, total in before.items())
