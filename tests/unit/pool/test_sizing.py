"""The arithmetic of pool sizes, against tables and against a simulation of what it is about."""

from __future__ import annotations

import heapq
import itertools
import random
import re
from pathlib import Path

import pytest

from pool.demand import ArrivalRate, BootTime
from pool.sizing import Demand, Size, miss_shares, size


def miss_share(load: float, target: int) -> float:
    return next(itertools.islice(miss_shares(load), target, None))


@pytest.mark.parametrize(
    ("load", "target", "share"), [(1.0, 1, 0.6321), (1.0, 4, 0.0190), (5.0, 10, 0.0318), (10.0, 20, 0.0035)]
)
def test_the_share_of_misses_is_that_of_the_published_tables(load, target, share):
    """Poisson's, as in any book of tables: 1 - F(target - 1)."""
    assert miss_share(load, target) == pytest.approx(share, abs=0.0001)


@pytest.mark.parametrize("load", [0.1, 1.0, 4.461, 12.03])
def test_erlangs_loss_formula_is_a_lower_bound(load):
    for target in range(1, 40):
        inverse = 1.0
        for lines in range(1, target + 1):
            inverse = 1.0 + inverse * lines / load
        assert 1 / inverse <= miss_share(load, target) + 1e-12


def test_a_size_is_the_smallest_that_keeps_the_target():
    demand = Demand(arrivals_per_s=20, boot_s=0.2, boots_at_once=1000)
    found = size(demand, miss_target=0.01, low=1, high=100)
    assert found.because == "parallel"
    assert miss_share(4, found.target) <= 0.01 < miss_share(4, found.target - 1)


@pytest.mark.parametrize(
    ("arrivals", "boot_s", "at_once", "expected"),
    [
        (0, 0.2, 2, Size(2, "low")),
        (5, 0, 2, Size(2, "low")),  # nothing has booted yet
        (0.01, 0.2, 2, Size(2, "low")),
        (10, 0.2, 2, Size(30, "high")),  # as fast as they can be made
        (100, 0.2, 2, Size(30, "high")),
        (9.5, 0.2, 2, Size(30, "high")),  # nearly so: the queue is long
    ],
)
def test_a_size_stays_within_its_bounds(arrivals, boot_s, at_once, expected):
    assert size(Demand(arrivals, boot_s, at_once), miss_target=0.001, low=2, high=30) == expected


def test_a_size_rises_with_demand_and_with_slower_boots_and_with_a_stricter_target():
    def of(arrivals: float, boot_s: float, miss: float) -> int:
        return size(Demand(arrivals, boot_s, 2), miss_target=miss, low=0, high=1000).target

    assert of(1, 0.2, 0.01) < of(5, 0.2, 0.01) < of(9, 0.2, 0.01)
    assert of(4, 0.1, 0.01) < of(4, 0.2, 0.01) < of(4, 0.4, 0.01)
    assert of(5, 0.2, 0.1) < of(5, 0.2, 0.01) < of(5, 0.2, 0.001)


@pytest.mark.parametrize(("arrivals", "at_once"), [(2.0, 2), (6.0, 2), (8.0, 2), (10.0, 64), (40.0, 64), (3.0, 1)])
def test_in_a_simulation_of_the_pool_misses_stay_at_the_target(arrivals, at_once):
    """Poisson arrivals, boots of 0.1 to 0.3 s, so many made at once; who finds none ready takes the next."""
    demand = Demand(arrivals, 0.2, at_once)
    target = size(demand, miss_target=0.01, low=1, high=10_000).target
    assert _missed(arrivals, at_once, target) <= 0.0115  # of 60,000, two standard deviations


def _missed(arrivals: float, at_once: int, target: int, leases: int = 60_000) -> float:
    dice = random.Random(1)
    free_at = [0.0] * at_once  # when each place to boot in is free
    ready_at: list[float] = [0.0] * target  # of every sandbox that is ready or on its way, soonest first
    heapq.heapify(ready_at)
    now, missed = 0.0, 0
    for _ in range(leases):
        now += dice.expovariate(arrivals)
        missed += heapq.heappop(ready_at) > now
        started = max(now, heapq.heappop(free_at))
        done = started + dice.uniform(0.1, 0.3)
        heapq.heappush(free_at, done)
        heapq.heappush(ready_at, done)
    return missed / leases


def test_a_steady_stream_is_measured_as_what_it_is():
    rate = ArrivalRate()
    for number in range(6000):
        rate.arrived(number / 20)
    assert rate.per_s(300) == pytest.approx(20, rel=0.05)


def test_a_rise_counts_at_once_and_is_forgotten_slowly():
    rate = ArrivalRate()
    for number in range(40):
        rate.arrived(100 + number / 40)
    at_the_end = rate.per_s(101)
    assert at_the_end > 20
    after = [rate.per_s(101 + seconds) for seconds in (2, 10, 60, 600)]
    assert sorted(after, reverse=True) == after
    assert 0.3 < after[1] < 1
    assert after[-1] < 0.001


def test_a_boot_time_follows_the_machine():
    boots = BootTime()
    assert boots.mean_s == 0
    for _ in range(3):
        boots.took(0.2)
    assert boots.mean_s == pytest.approx(0.2)
    for _ in range(20):
        boots.took(0.6)
    assert boots.mean_s == pytest.approx(0.6, rel=0.02)


def test_the_pages_table_is_what_the_function_says():
    page = (Path(__file__).parents[3] / "docs" / "pool-size.md").read_text()
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) s \| (\d+) \| (\d+) \| (\w+) \|$", page, re.MULTILINE)
    assert len(rows) == 6
    for arrivals, boot_s, at_once, target, because in rows:
        demand = Demand(float(arrivals), float(boot_s), int(at_once))
        assert size(demand, miss_target=0.001, low=0, high=10_000) == Size(int(target), because)
