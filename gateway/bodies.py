"""Bound the memory of all bodies together, of those that come in and of those that wait: each has a cap of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from gateway.problems import Problem

#: Told to whose body there is no room for. POLICY: nothing is measured here; batches take seconds to minutes.
_COME_BACK_S = 10.0


class Bodies:
    """Those of one server. Beyond `most` bytes the one that has been coming in the longest is let go.

    POLICY: a client in good health sends a body in a moment, so the one that has been at it the longest is nearly
    always slow on purpose. A body that is whole does not count as coming in any more. A run's is answered, or waits in
    the pool's line, which has so many places. What waits anywhere else is held: as many bytes again, at most.
    """

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self._most = most
        self._held: Counter[str] = Counter()  # bytes by caller
        self._coming: dict[Coming, None] = {}  # in order of arrival

    def __repr__(self) -> str:
        return f"<Bodies {len(self._coming)} coming in, {self.bytes}/{self._most} bytes>"

    def coming(self) -> Coming:
        return Coming(self)

    @contextmanager
    def hold(self, caller: str, size: int) -> Iterator[None]:
        """Let a whole body of this caller wait for the length of the block; a `Problem` where there is no room for it.

        One that is alone always has room. POLICY: of a caller of whom some are held already, no more than half of all
        is, so that others find room, too.
        """
        own, held = self._held[caller], self._held.total()
        if held and (held + size > self._most or (own and own + size > self._most // 2)):
            why = f"this one has {size} bytes, and of {self._most} {held} are held, {own} of them for this caller"
            raise Problem("too_many_waiting", f"too many bodies wait: {why}", retry_after_s=_COME_BACK_S)
        self._held[caller] += size
        try:
            yield
        finally:
            self._held[caller] -= size
            if not self._held[caller]:
                del self._held[caller]

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
