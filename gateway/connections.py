"""Know every open connection and what it is good for, and when there are too many, let the least useful one go."""

from __future__ import annotations

import enum
from typing import Protocol


class Stage(enum.IntEnum):
    """What a connection is at; in the order in which they make room, the first first.

    POLICY: a client in good health sends a head within milliseconds, so those found at it when there is no room are
    nearly always slow on purpose. Whoever is owed an answer never makes room: code may be running for it.
    """

    CLOSING = 0  # has its last answer, and stays a moment so that the answer is not lost
    WAITING = 1  # new, and nothing has come yet
    HEAD = 2  # a request's head is coming in
    IDLE = 3  # has had an answer, and may ask again
    BODY = 4  # a request's body is coming in
    SERVED = 5  # a whole request is owed its answer


class Connection(Protocol):
    """One client's, as seen from here."""

    def make_room(self) -> None:
        """Close, at once; the reason is that there are too many."""


class Connections:
    """All of one server. Does no I/O of its own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._at: list[dict[Connection, None]] = [{} for _ in Stage]  # by stage, in order of arrival there

    def __len__(self) -> int:
        return sum(map(len, self._at))

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self._at[stage])} {stage.name.lower()}" for stage in Stage if self._at[stage])
        return f"<Connections {len(self)}/{self._most}{': ' if counts else ''}{counts}>"

    def admit(self, connection: Connection) -> bool:
        """Take a new one in, as WAITING, if need be in another's place. Otherwise it is CLOSING, and must be closed."""
        while len(self) >= self._most:
            there = next(filter(None, self._at[: Stage.SERVED]), None)
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
        before = self._at[was]
        if connection in before:
            del before[connection]
            self._at[now][connection] = None

    def closed(self, connection: Connection, was: Stage) -> None:
        self._at[was].pop(connection, None)
