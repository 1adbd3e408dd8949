"""One container with an agent in it, and its life: booted, frozen, leased, destroyed, never anything twice."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from pool.engine import Container
from pool.template import Template
from runners.channel import Channel


class State(enum.Enum):
    BOOTING = "booting"  # the engine is making it, or its agent has not said HELLO yet
    READY = "ready"  # frozen, in the pool, never used
    LEASED = "leased"  # running, owned by exactly one lease
    DOOMED = "doomed"  # must be destroyed; never handed out (again)
    GONE = "gone"  # removed from the engine


_NEXT = {
    State.BOOTING: {State.READY, State.DOOMED},
    State.READY: {State.LEASED, State.DOOMED},
    State.LEASED: {State.DOOMED},
    State.DOOMED: {State.GONE},
    State.GONE: set[State](),
}


class IllegalMove(Exception):
    """A sandbox was asked for a move that the table of its life does not have: a bug in the pool."""


@dataclass(frozen=True, slots=True)
class Change:
    """One move of one sandbox, as the observer sees it."""

    sandbox: Sandbox
    old: State
    new: State
    reason: str
    seconds_in_old: float


Observer = Callable[[Change], None]


@dataclass(slots=True, eq=False)
class Sandbox:
    """State of one sandbox. Only `become` moves it; whoever holds it in state LEASED is its one owner.

    `slot` numbers the sandboxes alive at one time on this host and gives each a user id of its own.
    """

    id: str
    template: Template
    slot: int
    observe: Observer
    state: State = State.BOOTING
    reason: str = "created"
    container: Container | None = None
    channel: Channel | None = None
    since: float = field(default_factory=anyio.current_time)  # of the present state

    def __repr__(self) -> str:
        age = anyio.current_time() - self.since
        return f"<Sandbox {self.id[:11]} {self.template.name} {self.state.value} for {age:.1f} s ({self.reason})>"

    def become(self, state: State, reason: str) -> None:
        """Move to `state` because of `reason`; raises `IllegalMove` for a move that does not exist."""
        if state not in _NEXT[self.state]:
            raise IllegalMove(f"{self!r} cannot become {state.value} ({reason})")
        now = anyio.current_time()
        change = Change(self, self.state, state, reason, now - self.since)
        self.state, self.reason, self.since = state, reason, now
        self.observe(change)
