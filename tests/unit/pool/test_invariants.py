"""A broken promise is seen when it breaks, and ends readiness for good; a pool that keeps them is never accused."""

from __future__ import annotations

import logging

import pytest

from pool.errors import PoolUnavailable
from pool.invariants import Holdings, Invariants
from pool.sandbox import Change, Sandbox, State
from pool.template import Template

TEMPLATE = Template(name="python", language="python", image="x")


class Book:
    """The invariants, with a pool that has as many sandboxes as it is told to have."""

    def __init__(self) -> None:
        self.has = Holdings(0, 0)
        self.book = Invariants(lambda template: self.has)

    def born(self, name: str = "sb_1") -> Sandbox:
        sandbox = Sandbox(name, TEMPLATE, 0, observe=self.book.moved)
        self.has = Holdings(self.has.alive + 1, self.has.ready)
        self.book.born(sandbox)
        return sandbox

    def move(self, sandbox: Sandbox, *states: State) -> None:
        for state in states:
            ready = self.has.ready + (state is State.READY) - (sandbox.state is State.READY)
            self.has = Holdings(self.has.alive - (state is State.GONE), ready)
            sandbox.become(state, "test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def book() -> Book:
    return Book()


async def test_a_life_by_the_table_breaks_nothing(book: Book):
    sandbox = book.born()
    book.move(sandbox, State.READY, State.LEASED)
    sandbox.container = object()
    book.book.handed_out(sandbox, "a")
    book.book.given_back(sandbox)
    book.move(sandbox, State.DOOMED, State.GONE)
    assert (book.book.violations, book.book.trouble) == (0, None)
    assert "0 alive" in repr(book.book)  # what is gone is forgotten, or the book would grow for ever


async def test_two_with_one_id_are_seen(book: Book):
    book.born()
    book.born()
    assert "belongs to a living sandbox" in book.book.trouble


async def test_a_state_that_was_written_past_become_is_seen(book: Book):
    sandbox = book.born()
    book.move(sandbox, State.READY)
    sandbox.state = State.LEASED
    book.has = Holdings(1, 0)
    sandbox.become(State.DOOMED, "test")
    assert "it left leased, and was ready" in book.book.trouble


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ([State.READY, State.LEASED], State.LEASED, "leased a second time"),
        ([State.READY, State.LEASED], State.READY, "ready a second time"),
        ([State.READY, State.LEASED, State.DOOMED], State.READY, "ready a second time"),
        ([], State.LEASED, "never ready"),
        ([State.READY, State.DOOMED, State.GONE], State.LEASED, "not among the living"),
    ],
)
async def test_a_move_that_the_table_does_not_have_is_seen_by_the_book_too(book: Book, before, now, what):
    sandbox = book.born()
    book.move(sandbox, *before)
    book.book.moved(Change(sandbox, sandbox.state, now, "test", 0.0))
    assert what in book.book.trouble


async def test_a_sandbox_handed_to_two_is_seen(book: Book):
    sandbox = book.born()
    book.move(sandbox, State.READY, State.LEASED)
    sandbox.container = object()
    book.book.handed_out(sandbox, "a")
    book.book.handed_out(sandbox, "b")
    assert "to lease b, and lease a has it" in book.book.trouble


async def test_a_sandbox_handed_out_dead_is_seen(book: Book):
    sandbox = book.born()
    book.move(sandbox, State.READY, State.LEASED, State.DOOMED)
    book.book.handed_out(sandbox, "a")
    assert "handed out while doomed" in book.book.trouble


async def test_a_count_that_does_not_agree_is_seen(book: Book):
    sandbox = book.born()
    book.has = Holdings(1, 0)
    sandbox.become(State.READY, "test")  # and is not in the pool's list
    assert "counts 1 with 0 ready" in book.book.trouble


async def test_the_first_violation_stays_the_reason_and_all_are_counted_and_logged(book: Book, caplog):
    sandbox = book.born()
    with caplog.at_level(logging.CRITICAL):
        book.book.handed_out(sandbox, "a")
        book.book.handed_out(sandbox, "b")
    assert book.book.violations == 2
    assert book.book.trouble.endswith("handed out while booting")
    assert [record.getMessage() for record in caplog.records] == ["invariant_violated"] * 2


# -- in a fleet -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_after_a_violation_nothing_is_leased_and_the_trouble_stays(world):
    async with world(target=2) as w:
        await w.until_ready(2)
        first = await w.fleet.lease("python")
        first.sandbox.state = State.READY  # as if a bug had put it back
        first.sandbox.container.frozen = True
        (pool,) = w.fleet._pools.values()
        pool._ready.append(first.sandbox)
        with pytest.raises(PoolUnavailable, match="an invariant is violated"):
            await w.fleet.lease("python")
        stats = w.fleet.stats()
        assert stats.invariant_violations >= 1
        assert "an invariant is violated" in stats.pools[0].trouble
        await w.until(lambda: w.now.ready >= 1)  # what there is does not make it well again
        with pytest.raises(PoolUnavailable, match="an invariant is violated"):
            await w.fleet.lease("python")
        assert w.now.trouble
        assert w.now.refusals["unavailable"] == 2
