import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.timing import computesdk_score, percentile, summary, trimmed

SECONDS = st.lists(st.floats(0.0001, 100.0), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1), (0.001, 1)]
)
def test_percentiles_of_one_to_a_hundred(share: float, expected: int) -> None:
    assert percentile(list(range(1, 101)), share) == expected


@given(SECONDS, st.floats(0.001, 1.0))
def test_a_percentile_was_measured_and_is_the_smallest_that_enough_do_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    need = share * len(ordered) - 1e-6
    assert found in ordered
    assert sum(one <= found for one in ordered) >= need
    assert sum(one < found for one in ordered) < need + 1e-5


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no value"):
        percentile([], 0.5)


def test_a_summary_is_in_milliseconds_and_trims_nothing() -> None:
    of = summary([0.003, 0.001, 0.002, 5.0])
    assert (of.runs, of.lowest, of.highest) == (4, 1.0, 5000.0)
    assert of.median == pytest.approx(2.5)
    assert of.p99 == of.p999 == 5000.0


def test_one_bad_run_in_a_hundred_is_seen_from_the_highest_alone() -> None:
    of = summary([0.002] * 99 + [1.0])
    assert of.p99 == 2.0
    assert of.p999 == of.highest == 1000.0


@given(SECONDS)
def test_trimming_takes_five_percent_from_each_end(values: list[float]) -> None:
    cut = math.floor(0.05 * len(values))
    assert trimmed(values) == sorted(values)[cut : len(values) - cut]


def test_the_score_is_computesdks() -> None:
    # Their own example: 200 ms scores 98, 4,000 ms 60, ten seconds and more 0.
    assert computesdk_score([0.2] * 100, 0) == pytest.approx(98)
    assert computesdk_score([4.0] * 100, 0) == pytest.approx(60)
    assert computesdk_score([11.0] * 100, 0) == 0
    assert computesdk_score([], 5) == 0


def test_half_the_runs_failed_is_half_the_score() -> None:
    assert computesdk_score([0.2] * 50, 50) == pytest.approx(49)
