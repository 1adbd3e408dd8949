"""Count what the gateway does, and render it with the pool's numbers as Prometheus text."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

from gateway.endpoint import PROTOCOL_PROBLEMS
from gateway.schema import RunStatus
from pool.stats import Histogram, HistogramSnapshot, PoolStats

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

#: What `petri_runs_total` may say besides the statuses of the API: a run whose sandbox died, which has no answer.
LOST = "lost"

_STATES = ("ready", "booting", "leased", "doomed")
_POOL_HISTOGRAMS = {
    "lease_seconds": "From asking for a sandbox to having it, waiting included.",
    "boot_seconds": "From creating a container to its agent's first word.",
    "destroy_seconds": "From the decision to destroy a container to its end.",
    "thaw_seconds": "Thawing a container.",
}


class Metrics:
    """Plain counts on the request's path; names, labels and text only when somebody scrapes."""

    def __init__(self, templates: Iterable[str]) -> None:
        statuses = (*get_args(RunStatus), LOST)
        self._runs: Counter[tuple[str, str]] = Counter({(name, status): 0 for name in templates for status in statuses})
        self._run_seconds: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._refused: Counter[str] = Counter(dict.fromkeys(PROTOCOL_PROBLEMS, 0))
        self._idempotent = Counter(dict.fromkeys(("first", "replayed", "failed", "reused", "unanswered"), 0))
        self._batch_runs = Counter({"executed": 0, "not_executed": 0})
        self._request_seconds: defaultdict[tuple[str, str, str], Histogram] = defaultdict(Histogram)

    def run_ended(self, template: str, status: str) -> None:
        self._runs[template, status] += 1

    def run_took(self, template: str, seconds: float) -> None:
        self._run_seconds[template].observe(seconds)

    def request_took(self, route: str, method: str, status: str, seconds: float) -> None:
        """`route` is the template of the path, so that ids make no series."""
        self._request_seconds[route, method, status].observe(seconds)

    def refused(self, code: str) -> None:
        """The protocol answered with this problem before or instead of the application."""
        self._refused[code] += 1

    def idempotent(self, result: str) -> None:
        """A request with a key: the `first`, or `replayed`, `failed` with it, `reused`, `unanswered`."""
        self._idempotent[result] += 1

    def batch_run(self, executed: bool) -> None:
        self._batch_runs["executed" if executed else "not_executed"] += 1

    def render(self, stats: PoolStats | None, connections: int, body_bytes: int) -> bytes:
        """The whole page. Without `stats` (the pool is away) the pool's metrics are absent, not zero."""
        return generate_latest(
            _Families([*self._own(connections, body_bytes), *(_pool(stats) if stats is not None else ())])
        )

    def _own(self, connections: int, body_bytes: int) -> Iterator[Metric]:
        runs = CounterMetricFamily("petri_runs", "Runs that ended, by how.", labels=["template", "status"])
        for labels, count in self._runs.items():
            runs.add_metric(labels, count)
        yield runs
        seconds = HistogramMetricFamily("petri_run_seconds", "From sending a program to its end.", labels=["template"])
        for template, histogram in self._run_seconds.items():
            _add(seconds, [template], histogram.snapshot())
        yield seconds
        requests = HistogramMetricFamily(
            "petri_http_request_seconds",
            "From a request's head to the end of its answer.",
            labels=["route", "method", "status"],
        )
        for label_values, histogram in self._request_seconds.items():
            _add(requests, label_values, histogram.snapshot())
        yield requests
        refused = CounterMetricFamily(
            "petri_http_refused", "Requests and connections refused by the protocol, by code.", labels=["code"]
        )
        for code, count in self._refused.items():
            refused.add_metric([code], count)
        yield refused
        idempotent = CounterMetricFamily(
            "petri_idempotent_requests", "Requests with an Idempotency-Key, by what came of it.", labels=["result"]
        )
        for result, count in self._idempotent.items():
            idempotent.add_metric([result], count)
        yield idempotent
        batch_runs = CounterMetricFamily("petri_batch_runs", "Runs of batches that were reported.", labels=["result"])
        for result, count in self._batch_runs.items():
            batch_runs.add_metric([result], count)
        yield batch_runs
        yield GaugeMetricFamily("petri_http_body_bytes", "Of bodies that are still coming in.", value=body_bytes)
        yield GaugeMetricFamily("petri_http_connections", "Connections that are open.", value=connections)


class _Families:
    """What `generate_latest` asks a registry for, without one."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _pool(stats: PoolStats) -> Iterator[Metric]:
    sandboxes = GaugeMetricFamily("petri_pool_sandboxes", "Sandboxes there are.", labels=["template", "state"])
    target = GaugeMetricFamily("petri_pool_target", "Sandboxes to keep ready.", labels=["template"])
    arrivals = GaugeMetricFamily(
        "petri_pool_arrivals_per_second", "Leases asked for per second, lately.", labels=["template"]
    )
    boot_time = GaugeMetricFamily(
        "petri_pool_boot_time_seconds", "What a boot takes, lately; sets the target.", labels=["template"]
    )
    quarantined = GaugeMetricFamily(
        "petri_quarantined_sandboxes", "Containers that the engine has failed to remove.", labels=["template"]
    )
    waiting = GaugeMetricFamily("petri_pool_waiting", "Callers that wait for a sandbox.", labels=["template"])
    refill = GaugeMetricFamily(
        "petri_pool_refill_per_second", "Sandboxes that become ready while they are wanted.", labels=["template"]
    )
    refusals = CounterMetricFamily("petri_lease_refusals", "Leases refused, by why.", labels=["template", "reason"])
    leases = CounterMetricFamily("petri_leases", "Leases asked for, by how it went.", labels=["template", "outcome"])
    failures = CounterMetricFamily("petri_boot_failures", "Boots that failed.", labels=["template", "reason"])
    histograms = {
        name: HistogramMetricFamily(f"petri_{name}", text, labels=["template"])
        for name, text in _POOL_HISTOGRAMS.items()
    }
    for pool in stats.pools:
        for state in _STATES:
            sandboxes.add_metric([pool.template, state], getattr(pool, state))
        target.add_metric([pool.template], pool.target)
        arrivals.add_metric([pool.template], pool.sizing.arrivals_per_s)
        boot_time.add_metric([pool.template], pool.sizing.boot_s)
        quarantined.add_metric([pool.template], pool.quarantined)
        waiting.add_metric([pool.template], pool.waiting)
        refill.add_metric([pool.template], math.nan if pool.refill_per_s is None else pool.refill_per_s)
        for reason, count in pool.refusals.items():
            refusals.add_metric([pool.template, reason], count)
        for outcome, count in pool.lease_outcomes.items():
            leases.add_metric([pool.template, outcome], count)
        for reason, count in pool.boot_failures.items():
            failures.add_metric([pool.template, reason], count)
        for name, family in histograms.items():
            if name in pool.histograms:
                _add(family, [pool.template], pool.histograms[name])
    yield from (
        sandboxes,
        target,
        arrivals,
        boot_time,
        quarantined,
        waiting,
        refill,
        leases,
        refusals,
        failures,
        *histograms.values(),
    )
    yield CounterMetricFamily(
        "petri_invariant_violations",
        "Promises of the pool that were found broken; any is a bug, and ends its readiness.",
        value=stats.invariant_violations,
    )
    yield GaugeMetricFamily(
        "petri_unwanted_sandboxes", "Containers with our label that the pool does not know.", value=stats.unwanted
    )


def _add(family: HistogramMetricFamily, labels: Iterable[str], snapshot: HistogramSnapshot) -> None:
    bounds = [*(f"{bound:g}" for bound in snapshot.bounds), "+Inf"]
    counts = accumulate(snapshot.counts)  # Prometheus counts all that is at most a bound
    family.add_metric(list(labels), buckets=list(zip(bounds, counts, strict=True)), sum_value=snapshot.sum)
