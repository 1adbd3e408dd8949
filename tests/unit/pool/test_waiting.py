"""Whose turn it is: fairness between callers and classes, without a clock and without a pool."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.waiting import BATCH_EVERY, Priority, Waiter, WaitingLine

INTERACTIVE, BATCH = Priority

callers = st.sampled_from("abcde")
priorities = st.sampled_from(Priority)
places = st.builds(Waiter, callers, priorities)
steps = st.lists(
    st.tuples(st.sampled_from(["join", "join", "serve", "leave"]), places, st.integers(0, 99)), max_size=60
)


def line_of(*waiters: Waiter, most: int = 1000) -> WaitingLine[Waiter]:
    line: WaitingLine[Waiter] = WaitingLine(most)
    for waiter in waiters:
        assert line.join(waiter) is None
    return line


def serve_one(line: WaitingLine[Waiter]) -> Waiter:
    first = line.first()
    assert first is not None
    line.serve(first)
    return first


def after(happened: list[tuple[str, Waiter, int]], most: int = 1000) -> tuple[WaitingLine[Waiter], list[Waiter]]:
    """The line after these steps, and who is in it, in order of arrival."""
    line, there = WaitingLine[Waiter](most), list[Waiter]()
    for step, place, index in happened:
        if step == "join":
            newcomer = Waiter(place.caller, place.priority)
            out = line.join(newcomer)
            there.append(newcomer)
            if out is not None:
                there.remove(out)
                assert not line.leave(out)
        elif there and step == "serve":
            there.remove(serve_one(line))
        elif there:
            assert line.leave(there.pop(index % len(there)))
    return line, there


@given(steps, st.integers(0, 5))
def test_it_holds_who_joined_and_has_not_gone_and_never_more_than_it_may(happened, most):
    line, there = after(happened, most)
    assert len(line) == len(there) <= most
    assert set(line) == set(there)
    assert (line.first() is None) == (not there)


@given(steps)
def test_each_caller_is_served_in_its_own_order_of_arrival(happened):
    line, there = after(happened)
    served = [serve_one(line) for _ in there]
    assert not line
    for caller in "abcde":
        for priority in Priority:
            mine = [waiter for waiter in there if (waiter.caller, waiter.priority) == (caller, priority)]
            assert [waiter for waiter in served if waiter in mine] == mine


@given(steps, callers, priorities)
def test_how_many_are_ahead_is_how_many_are_served_first(happened, caller, priority):
    line, _ = after(happened)
    ahead = line.ahead_of(caller, priority)
    newcomer = Waiter(caller, priority)
    line.join(newcomer)
    served = 0
    while serve_one(line) is not newcomer:
        served += 1
    assert served == ahead


@given(steps)
def test_nobody_is_passed_over_twice_by_the_same_caller(happened):
    """Fairness: while one waits at the head of its caller's, every other caller of its class has one turn at most."""
    line, there = after([(step, Waiter(place.caller), index) for step, place, index in happened])
    heads = {waiter.caller: waiter for waiter in reversed(there)}
    turns = Counter[str]()
    while line:
        served = serve_one(line)
        turns[served.caller] += 1
        if heads.get(served.caller) is served:
            assert max(turns.values()) <= 2, turns  # one in front of it, and its own


def test_one_noisy_caller_cannot_starve_nine_quiet_ones():
    line = line_of(*(Waiter("noisy") for _ in range(500)))
    for _ in range(20):
        serve_one(line)
    for quiet in range(9):
        line.join(Waiter(f"quiet {quiet}"))
    served = [serve_one(line).caller for _ in range(10)]
    assert Counter(served) == Counter(["noisy", *(f"quiet {quiet}" for quiet in range(9))])


def test_a_caller_with_one_waiter_at_a_time_has_half_beside_one_with_many():
    line = line_of(*(Waiter("noisy") for _ in range(100)), Waiter("quiet"))
    served = []
    for _ in range(40):
        served.append(serve_one(line).caller)
        if served[-1] == "quiet":
            line.join(Waiter("quiet"))
    assert Counter(served) == {"noisy": 20, "quiet": 20}


def test_new_callers_that_keep_coming_do_not_hold_an_old_one_up():
    line = line_of(Waiter("old"), Waiter("old"), Waiter("old"))
    served = []
    for number in range(20):
        line.join(Waiter(f"new {number}"))
        served.append(serve_one(line).caller)
    assert [at for at, caller in enumerate(served) if caller == "old"][-1] < 6, served


@pytest.mark.parametrize("weight", [2.0, 3.0])
def test_turns_are_in_proportion_to_weights(weight):
    line = line_of(*(Waiter("heavy", weight=weight) for _ in range(100)), *(Waiter("light") for _ in range(100)))
    turns = Counter(serve_one(line).caller for _ in range(48))
    assert turns["heavy"] / turns["light"] == pytest.approx(weight, rel=0.1)


def test_batch_is_served_when_nobody_else_waits_and_else_every_tenth_time():
    line = line_of(*(Waiter("b", BATCH) for _ in range(10)), *(Waiter("i") for _ in range(45)))
    served = [serve_one(line).priority for _ in range(55)]
    assert [at for at, priority in enumerate(served) if priority is BATCH][:6] == [9, 19, 29, 39, 49, 50]
    assert served[50:] == [BATCH] * 5


def test_turns_that_passed_before_a_batch_came_are_not_made_up_for():
    line = line_of(*(Waiter("i") for _ in range(40)))
    for _ in range(20):
        serve_one(line)
    line.join(Waiter("b", BATCH))
    assert [serve_one(line).priority for _ in range(BATCH_EVERY)] == [INTERACTIVE] * (BATCH_EVERY - 1) + [BATCH]


def test_when_it_is_full_a_quiet_caller_has_the_place_of_the_noisy_ones_last():
    noisy = [Waiter("noisy") for _ in range(4)]
    line = line_of(*noisy, most=4)
    assert line.join(Waiter("quiet")) is noisy[3]
    assert line.join(Waiter("quiet")) is noisy[2]
    newcomer = Waiter("quiet")
    assert line.join(newcomer) is newcomer  # it would have three, and the other two
    newcomer = Waiter("noisy")
    assert line.join(newcomer) is newcomer
    assert line.join(Waiter("third")) is not None
    assert len(line) == 4


def test_when_it_is_full_batch_goes_first_and_never_displaces_others():
    line = line_of(Waiter("a"), Waiter("b", BATCH), Waiter("c"), most=3)
    newcomer = Waiter("a")
    out = line.join(newcomer)
    assert out is not None
    assert (out.caller, out.priority) == ("b", BATCH)
    newcomer = Waiter("d", BATCH)
    assert line.join(newcomer) is newcomer


def test_a_tenth_of_the_places_is_not_taken_from_batches():
    line = line_of(Waiter("b", BATCH), Waiter("b", BATCH), *(Waiter("noisy") for _ in range(8)), most=10)
    out = [line.join(Waiter(f"quiet {number}")) for number in range(3)]
    assert [(waiter.caller, waiter.priority) for waiter in out if waiter] == [
        ("b", BATCH),
        ("noisy", INTERACTIVE),
        ("noisy", INTERACTIVE),
    ]


def test_where_nobody_may_wait_everybody_is_refused():
    line = WaitingLine[Waiter](0)
    for priority in Priority:
        newcomer = Waiter("a", priority)
        assert line.join(newcomer) is newcomer


def test_it_forgets_who_has_gone():
    line = line_of(Waiter("stays"))
    for number in range(2000):
        passing = Waiter(f"passing {number}")
        line.join(passing)
        line.leave(passing)
    heads = line._lines[INTERACTIVE]._heads
    assert len(heads) < 50
    assert list(line._lines[INTERACTIVE].callers) == ["stays"]
    assert repr(line) == "<WaitingLine 1/1000: 1 interactive of 1, 0 batch of 0>"
