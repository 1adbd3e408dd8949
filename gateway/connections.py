"""Know every open connection and what it is good for, and when there are too many, let the least useful one go."""

from __future__ import annotations

import enum
from typing import Protocol


class Stage(enum.Enum):
    """What a connection is at, as far as letting it go is concerned."""

    CLOSING = "closing"  # has its last answer; stays a moment so that the answer is not lost
    WAITING = "waiting"  # new, and nothing has come yet
    HEAD = "head"  # a request's head is coming in
    IDLE = "idle"  # has had an answer, and may ask again
    BODY = "body"  # a request's body is coming in
    SERVED = "served"  # at least one whole request is owed its answer


#: POLICY: who makes room first; among equals, who has been at it the longest. A client in good health sends a head
#: within milliseconds, so those found at it when there is no room are nearly always slow on purpose. Whoever is owed an
#: answer never makes room: code may be running for it.
_MAKE_ROOM = (Stage.CLOSING, Stage.WAITING, Stage.HEAD, Stage.IDLE, Stage.BODY)


class Connection(Protocol):
    """One client's, as seen from here."""

    def make_room(self) -> None:
        """Close, at once; the reason is that there are too many."""


class Connections:
    """All of one server. Does no I/O of its own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._at: dict[Stage, dict[Connection, None]] = {stage: {} for stage in Stage}  # in order of arrival there

    def __len__(self) -> int:
        return sum(map(len, self._at.values()))

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(there)} {stage.value}" for stage, there in self._at.items() if there)
        return f"<Connections {len(self)}/{self._most}{': ' if counts else ''}{counts}>"

    def admit(self, connection: Connection) -> bool:
        """Take a new one in, as WAITING, if need be in another's place. Otherwise it is CLOSING, and must be closed."""
        while len(self) >= self._most:
            there = next((self._at[stage] for stage in _MAKE_ROOM if self._at[stage]), None)
            if there is None:
                self._at[Stage.CLOSING][connection] = None
                return False
            oldest = next(iter(there))
            del there[oldest]
            oldest.make_room()
        self._at[Stage.WAITING][connection] = None
        return True

    def move(self, connection: Connection, was: Stage, now: Stage) -> None:
        """What `connection` is at has changed. One that had to make room is not known any more, and stays so."""
        if connection in self._at[was]:
            del self._at[was][connection]
            self._at[now][connection] = None

    def closed(self, connection: Connection, was: Stage) -> None:
        self._at[was].pop(connection, None)
