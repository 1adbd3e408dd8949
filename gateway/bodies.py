"""Bound the memory of all bodies that are still coming in, together: each has a cap of its own, and there are many."""

from __future__ import annotations

from types import TracebackType


class Bodies:
    """Those of one server. Beyond `most` bytes the one that has been coming in the longest is let go.

    POLICY: a client in good health sends a body in a moment, so the one that has been at it the longest is nearly
    always slow on purpose. A body that is whole does not count any more: it is answered, or waits in a bounded queue.
    """

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self._most = most
        self._coming: dict[Coming, None] = {}  # in order of arrival

    def __repr__(self) -> str:
        return f"<Bodies {len(self._coming)} coming in, {self.bytes}/{self._most} bytes>"

    def coming(self) -> Coming:
        return Coming(self)

    def _make_room(self) -> None:
        while self.bytes > self._most:
            next(iter(self._coming)).let_go()


class Coming:
    """One body's pieces, for the length of a `with` block. `was_let_go`: there is no point in going on."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._pieces: list[bytes] = []
        self.size = 0
        self.was_let_go = False

    def __enter__(self) -> Coming:
        self._bodies._coming[self] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def add(self, piece: bytes) -> None:
        if self.was_let_go:
            return
        self._pieces.append(piece)
        self.size += len(piece)
        self._bodies.bytes += len(piece)
        self._bodies._make_room()

    def whole(self) -> bytes:
        return b"".join(self._pieces)

    def let_go(self) -> None:
        self.was_let_go = True
        self._leave()

    def _leave(self) -> None:
        if self in self._bodies._coming:
            del self._bodies._coming[self]
            self._bodies.bytes -= self.size
            self._pieces = []
