"""What is measured of the refill, who is refused for it, and when who was refused may come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.refill import LONGEST_S, UNMEASURED_S, RefillRate, Returns, is_hopeless, retry_after_s

rates = st.floats(0.001, 1000)
counts = st.integers(0, 10_000)


def measured(every_s: float, number: int) -> tuple[RefillRate, float]:
    """One became ready every so often, all the time wanted; and the time it is then."""
    rate, now = RefillRate(), 100.0
    rate.look(now, wanted=True)
    for _ in range(number):
        now += every_s
        rate.became_ready(now)
    return rate, now


@pytest.mark.parametrize("every_s", [0.01, 0.2, 3.0])
def test_a_steady_refill_is_measured_as_it_is(every_s: float) -> None:
    rate, now = measured(every_s, 200)
    # The short average, right after one came, is generous where they come more rarely than it remembers.
    assert rate.hopeful_per_s(now) == pytest.approx(1 / every_s, rel=1.0 if every_s > RefillRate.SHORT_S else 0.1)
    assert rate.cautious_per_s(now) == pytest.approx(1 / every_s, rel=0.1)


def test_nothing_is_said_before_enough_was_measured() -> None:
    rate, now = measured(0.1, 3)
    assert (rate.hopeful_per_s(now), rate.cautious_per_s(now)) == (None, None)
    rate.became_ready(now + 0.1)
    assert rate.cautious_per_s(now + 0.1) == pytest.approx(10, rel=0.1)


def test_time_in_which_nothing_was_wanted_says_nothing() -> None:
    rate, now = measured(0.1, 20)
    rate.look(now, wanted=False)
    before = rate.cautious_per_s(now)
    rate.became_ready(now + 50)  # a replacement that nobody waited for
    assert rate.cautious_per_s(now + 100) == before


def test_a_refill_that_stands_still_counts_down_and_a_recovery_is_seen_at_once() -> None:
    rate, now = measured(0.1, 50)
    assert (rate.cautious_per_s(now + 20) or 1) < 0.1
    now += 60
    assert (rate.hopeful_per_s(now) or 0) < 1.5
    for _ in range(10):
        now += 0.1
        rate.became_ready(now)
    assert (rate.hopeful_per_s(now) or 0) > 3


def test_nobody_is_refused_for_a_rate_that_was_not_measured_and_the_first_in_line_never() -> None:
    assert not is_hopeless(1000, None, 1.0)
    assert not is_hopeless(0, 0.0, 1.0)
    assert not is_hopeless(-2, 0.0, 1.0)
    assert is_hopeless(1, 0.0, 1.0)


@given(counts, rates, st.floats(0.1, 100))
def test_refused_is_exactly_who_is_out_of_reach(ahead: int, per_s: float, within_s: float) -> None:
    assert is_hopeless(ahead, per_s, within_s) == (ahead > 0 and ahead / per_s > within_s * (1 + 1e-12)) or (
        ahead / per_s == pytest.approx(within_s)
    )


@given(counts, rates)
def test_who_comes_back_when_told_finds_that_all_before_it_were_served(before: int, per_s: float) -> None:
    in_s = retry_after_s(before, per_s)
    assert 1 <= in_s <= LONGEST_S
    assert in_s * per_s >= (before + 1) * (1 - 1e-9) or in_s == LONGEST_S


def test_what_is_told_without_a_measure_and_with_a_refill_that_stands_still() -> None:
    assert retry_after_s(50, None) == UNMEASURED_S
    assert retry_after_s(50, None, not_before_s=9.0) == 9.0
    assert retry_after_s(0, 0.0) == LONGEST_S
    assert retry_after_s(4, 5.0, not_before_s=3.0) == 4.0


def test_those_who_were_told_to_come_back_are_counted_until_they_do() -> None:
    returns = Returns()
    for in_s in (0.5, 4.0, 2.2):
        returns.told("a", 100.0, in_s)
    assert [returns.ahead_of("a", at) for at in (100.0, 101.0, 102.9, 103.0, 104.0)] == [3, 2, 2, 1, 0]


def test_one_who_does_not_keep_to_it_puts_others_off_by_no_more_than_one_place() -> None:
    returns = Returns()
    for _ in range(5000):
        returns.told("deaf", 100.0, 50.0)
    assert returns.ahead_of("deaf", 100.0) == 1000
    assert returns.ahead_of("quiet", 100.0) == 1
