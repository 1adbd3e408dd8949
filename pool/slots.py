"""Number the sandboxes that are alive at one time, so that each can have a user id no other has."""

from __future__ import annotations

import heapq


class Slots:
    """Hands out the smallest free number. A number is free again when its sandbox is gone, not when it is doomed."""

    def __init__(self) -> None:
        self._freed: list[int] = []
        self._next = 0
        self._taken: set[int] = set()

    def __repr__(self) -> str:
        return f"<Slots {len(self._taken)} taken>"

    def take(self) -> int:
        if self._freed:
            slot = heapq.heappop(self._freed)
        else:
            slot = self._next
            self._next += 1
        self._taken.add(slot)
        return slot

    def free(self, slot: int) -> None:
        """Give back a number that was taken; anything else is a `KeyError`."""
        self._taken.remove(slot)
        heapq.heappush(self._freed, slot)
