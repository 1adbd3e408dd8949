"""Whom a gateway that is full of connections lets go, and whom it never does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections import Connections, Stage


@dataclass(eq=False)
class FakeConnection:
    name: str = ""
    stage: Stage = Stage.WAITING
    told: int = 0

    def make_room(self) -> None:
        assert self.stage is not Stage.SERVED
        self.told += 1


def full(*stages: Stage) -> tuple[Connections, list[FakeConnection]]:
    """As many as there may be, at these stages."""
    connections = Connections(len(stages))
    there = [FakeConnection() for _ in stages]
    for one, stage in zip(there, stages, strict=True):
        assert connections.admit(one)
        connections.move(one, one.stage, stage)
        one.stage = stage
    return connections, there


def test_below_the_limit_nobody_has_to_go() -> None:
    connections = Connections(3)
    there = [FakeConnection() for _ in range(3)]
    assert all(map(connections.admit, there))
    assert [one.told for one in there] == [0, 0, 0]
    assert repr(connections) == "<Connections 3/3: 3 waiting>"


def test_those_go_first_that_are_of_least_use() -> None:
    order = [Stage.CLOSING, Stage.WAITING, Stage.HEAD, Stage.IDLE, Stage.BODY]
    connections, there = full(*reversed(order))
    for stage in order:
        newest = FakeConnection()
        assert connections.admit(newest)
        connections.move(newest, Stage.WAITING, Stage.SERVED)
        assert [one.told for one in there if one.stage is stage] == [1]
    assert [one.told for one in there] == [1] * len(order)
    assert not connections.admit(FakeConnection())


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.HEAD, Stage.IDLE, Stage.BODY])
def test_among_equals_who_has_been_at_it_the_longest_goes(stage: Stage) -> None:
    connections, there = full(stage, stage, stage)
    connections.move(there[0], stage, Stage.SERVED)  # and is back later than the others
    connections.move(there[0], Stage.SERVED, stage)
    connections.admit(FakeConnection())
    assert [one.told for one in there] == [0, 1, 0]


def test_who_is_owed_an_answer_stays_and_one_more_is_refused() -> None:
    connections, there = full(Stage.SERVED, Stage.SERVED)
    refused = [FakeConnection(stage=Stage.CLOSING) for _ in range(5)]
    assert not any(map(connections.admit, refused))
    assert [one.told for one in there] == [0, 0]
    assert len(connections) == 3  # a refused one stays for its last words, but no two of them
    assert [one.told for one in refused] == [1, 1, 1, 1, 0]


def test_one_that_made_room_is_not_known_any_more_whatever_it_says() -> None:
    connections, (first,) = full(Stage.HEAD)
    connections.admit(FakeConnection())
    connections.move(first, Stage.HEAD, Stage.SERVED)
    connections.closed(first, Stage.SERVED)
    assert repr(connections) == "<Connections 1/1: 1 waiting>"


@given(st.lists(st.tuples(st.sampled_from([*Stage, None, "close"]), st.integers(0, 10))), st.integers(1, 4))
def test_there_are_never_more_than_the_limit_and_one(steps: list[tuple[Stage | str | None, int]], most: int) -> None:
    connections, there = Connections(most), list[FakeConnection]()
    for step, index in steps:
        if step is None or not there:
            one = FakeConnection()
            if not connections.admit(one):
                one.stage = Stage.CLOSING
            there.append(one)
        elif isinstance(step, Stage):
            one = there[index % len(there)]
            connections.move(one, one.stage, step)
            one.stage = step
        else:
            one = there.pop(index % len(there))
            connections.closed(one, one.stage)
        assert all(one.told <= 1 for one in there)
        assert len(connections) == sum(one.told == 0 for one in there) <= most + 1
