import itertools
import statistics

import pytest

from benchmarks.schedule import at_once, every, poisson


def test_every_so_many_seconds_begins_at_once() -> None:
    assert every(0.2, 4) == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert at_once(3) == [0.0, 0.0, 0.0]


def test_poisson_arrivals_come_in_order_within_the_time_at_the_rate() -> None:
    starts = poisson(50.0, 200.0, seed=4)
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert starts[-1] < 200.0
    assert len(starts) == pytest.approx(10_000, abs=4 * 100)  # four standard deviations


def test_poisson_gaps_have_the_spread_of_independent_clients() -> None:
    starts = poisson(50.0, 200.0, seed=4)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)  # an even pace would have none


def test_one_seed_is_one_schedule() -> None:
    assert poisson(5.0, 60.0, seed=1) == poisson(5.0, 60.0, seed=1)
    assert poisson(5.0, 60.0, seed=1) != poisson(5.0, 60.0, seed=2)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="never arrives"):
        poisson(0.0, 60.0, seed=1)
