"""Look, at every move of every sandbox, whether what the pool promises still holds; once it does not, say so for good.

A second book, kept apart from the pool's own: each look costs the same however many sandboxes there are. A violation is
a bug of the pool. From then on nobody can say what a sandbox is that is handed out, so nothing is handed out any more,
and readiness ends until the process is started again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pool.events import INVARIANT_VIOLATED
from pool.sandbox import Change, Sandbox, State

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """What the book knows of one living sandbox."""

    sandbox: Sandbox
    state: State = State.BOOTING
    was_ready: bool = False
    was_leased: bool = False
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """How many a pool says it has: of all, and of those that it may hand out."""

    alive: int
    ready: int


class Invariants:
    """The book of one fleet. `first_violation` is None as long as all is well."""

    def __init__(self, holdings: Callable[[str], Holdings]) -> None:
        """`holdings`: what the pool of this template has, by its own count."""
        self._holdings = holdings
        self._alive: dict[str, _Entry] = {}
        self._counts: Counter[tuple[str, State]] = Counter()
        self._total: Counter[str] = Counter()  # of sandboxes alive, by template
        self.violations = 0
        self.first_violation: str | None = None

    def __repr__(self) -> str:
        return f"<Invariants {len(self._alive)} alive, {self.violations} violations>"

    @property
    def trouble(self) -> str | None:
        """For whoever asks whether the pool can lease."""
        if self.first_violation is None:
            return None
        return f"an invariant is violated, nothing is leased until the pool is started again: {self.first_violation}"

    # -- what happens -----------------------------------------------------------------------------------------------

    def born(self, sandbox: Sandbox) -> None:
        """A sandbox begins its life."""
        if sandbox.id in self._alive:
            self._violated(sandbox, "its id belongs to a living sandbox")
            return
        if sandbox.state is not State.BOOTING:
            self._violated(sandbox, f"it began as {sandbox.state.value}")
        self._alive[sandbox.id] = _Entry(sandbox)
        self._count(sandbox, State.BOOTING, 1)

    def moved(self, change: Change) -> None:
        """A sandbox has moved; the pool's own lists say so, too."""
        sandbox = change.sandbox
        entry = self._alive.get(sandbox.id)
        if entry is None or entry.sandbox is not sandbox:
            self._violated(sandbox, f"it became {change.new.value}, and is not among the living")
            return
        if change.old is not entry.state:
            self._violated(sandbox, f"it left {change.old.value}, and was {entry.state.value}")
        if change.new is State.READY:
            if entry.was_ready or entry.was_leased:
                self._violated(sandbox, "it became ready a second time")
            entry.was_ready = True
        elif change.new is State.LEASED:
            if entry.was_leased or not entry.was_ready:
                self._violated(sandbox, "it was leased a second time" if entry.was_leased else "it was never ready")
            entry.was_leased = True
        self._count(sandbox, entry.state, -1)
        entry.state = change.new
        if change.new is State.GONE:
            del self._alive[sandbox.id]  # perhaps under its lease: a closing pool waits for nobody
        else:
            self._count(sandbox, entry.state, 1)
        self._compare(sandbox)

    def handed_out(self, sandbox: Sandbox, lease: str) -> None:
        """A lease begins: the sandbox has this owner and no other."""
        entry = self._alive.get(sandbox.id)
        if entry is None or entry.sandbox is not sandbox:
            self._violated(sandbox, "it was handed out, and is not among the living")
        elif entry.lease is not None:
            self._violated(sandbox, f"it was handed out to lease {lease}, and lease {entry.lease} has it")
        elif entry.state is not State.LEASED or sandbox.container is None:
            self._violated(sandbox, f"it was handed out while {entry.state.value}")
        else:
            entry.lease = lease

    def given_back(self, sandbox: Sandbox) -> None:
        """Its lease has ended."""
        if (entry := self._alive.get(sandbox.id)) is not None:
            entry.lease = None

    # -- what must hold ---------------------------------------------------------------------------------------------

    def _count(self, sandbox: Sandbox, state: State, by: int) -> None:
        name = sandbox.template.name
        self._counts[name, state] += by
        self._total[name] += by

    def _compare(self, sandbox: Sandbox) -> None:
        name = sandbox.template.name
        pool, book = self._holdings(name), Holdings(self._total[name], self._counts[name, State.READY])
        if pool != book:
            self._violated(sandbox, f"its pool counts {pool.alive} with {pool.ready} ready, the book {book}")

    def _violated(self, sandbox: Sandbox, what: str) -> None:
        self.violations += 1
        if self.first_violation is None:
            self.first_violation = f"{sandbox.id}: {what}"
        INVARIANT_VIOLATED.log(log, sandbox=sandbox.id, template=sandbox.template.name, what=what)
