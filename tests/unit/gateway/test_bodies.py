"""Bodies under way share one budget, and the one that has been coming in the longest is let go."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies import Bodies
from gateway.problems import Problem


def test_the_longest_at_it_is_let_go_and_holds_nothing_any_more() -> None:
    bodies = Bodies(10)
    with bodies.coming() as first, bodies.coming() as second:
        first.add(b"12345")
        second.add(b"12345")
        assert not first.was_let_go
        second.add(b"6")
        assert (first.was_let_go, second.was_let_go) == (True, False)
        assert bodies.bytes == 6
        first.add(b"more")
        assert bodies.bytes == 6
        assert second.whole() == b"123456"
        assert repr(bodies) == "<Bodies 1 coming in, 6/10 bytes>"
    assert bodies.bytes == 0


def test_one_that_is_too_much_by_itself_is_let_go() -> None:
    with Bodies(3).coming() as only:
        only.add(b"1234")
        assert only.was_let_go


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=8))), st.integers(1, 20))
def test_they_never_hold_more_than_they_may(pieces: list[tuple[int, bytes]], most: int) -> None:
    bodies = Bodies(most)
    sent = [b""] * 5
    with ExitStack() as stack:
        coming = [stack.enter_context(bodies.coming()) for _ in range(5)]
        for index, piece in pieces:
            coming[index].add(piece)
            sent[index] += piece
            held = sum(one.size for one in coming if not one.was_let_go)
            assert bodies.bytes == held <= most
        for one, whole in zip(coming, sent, strict=True):
            assert one.whole() == (b"" if one.was_let_go else whole)
    assert bodies.bytes == 0


def test_those_that_wait_have_as_much_again_and_one_caller_half_of_it() -> None:
    bodies = Bodies(100)
    with ExitStack() as stack, bodies.coming() as coming:
        stack.enter_context(bodies.hold("a", 40))
        stack.enter_context(bodies.hold("a", 10))
        with pytest.raises(Problem) as refused, bodies.hold("a", 1):
            pass
        assert (refused.value.code, refused.value.kind.status) == ("too_many_waiting", 429)
        assert refused.value.retryable and refused.value.retry_after is not None
        stack.enter_context(bodies.hold("b", 50))
        with pytest.raises(Problem), bodies.hold("c", 1):
            pass
        coming.add(b"x" * 100)
        assert not coming.was_let_go
    with bodies.hold("a", 50), bodies.hold("c", 50):
        pass
    assert not bodies._held


def test_one_that_is_alone_always_has_room() -> None:
    with Bodies(3).hold("a", 4):
        pass
