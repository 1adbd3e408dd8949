"""How many sandboxes of each template batches may have at one time, all of them together, and whose turn is next."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import anyio
import anyio.lowlevel

from pool.errors import PoolTimeout
from pool.template import Template
from pool.waiting import Priority, Waiter, WaitingLine

#: Told to a run that had no slot in time. POLICY: nothing is measured here; some runs take as long, and who comes too
#: early only waits again.
_COME_BACK_S = 10.0


class Shares:
    """`share` of each template's `max_sandboxes`, rounded down, and at least one."""

    def __init__(self, templates: Iterable[Template], share: float) -> None:
        self.sizes: Mapping[str, int] = {one.name: max(1, math.floor(share * one.max_sandboxes)) for one in templates}
        self._slots = {name: Slots(size) for name, size in self.sizes.items()}

    def slot(self, template: str, caller: str) -> Slot:
        """To be taken while a batch's run of this template waits for a sandbox in the pool's line, or has one."""
        return Slot(self._slots[template], caller)


@dataclass(slots=True, eq=False)
class _Place(Waiter):
    turn: anyio.Event = field(default_factory=anyio.Event)


class Slots:
    """Those of one template: between callers in turn, as in the pool's own line."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._line: WaitingLine[_Place] = WaitingLine(sys.maxsize)  # batches under way are bounded elsewhere

    def __repr__(self) -> str:
        return f"<Slots {self._free}/{self._size} free, {len(self._line)} waiting>"

    async def _take(self, caller: str) -> None:
        """Who is woken takes for itself, so that a slot is never with somebody who has left."""
        place = _Place(caller, Priority.BATCH)
        self._line.join(place)
        try:
            # A turn of the event loop, even where one is free: whose it was has told the pool by then that its run is
            # over, and no more sandboxes are leased at a time than there are slots.
            await anyio.lowlevel.checkpoint()
            while not self._free or self._line.first() is not place:
                place.turn = anyio.Event()
                await place.turn.wait()
        except BaseException:
            self._line.leave(place)
            self._wake()
            raise
        self._line.serve(place)
        self._free -= 1
        self._wake()

    def _give_back(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        if self._free and (first := self._line.first()) is not None:
            first.turn.set()


class Slot:
    """One run's, for the length of a `with` block, in which it may be taken and given back again and again."""

    def __init__(self, slots: Slots, caller: str) -> None:
        self._slots = slots
        self._caller = caller
        self._taken = False

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_back()

    async def take(self, give_up: float) -> None:
        """At once where it is taken already. `PoolTimeout` when its turn has not come by `give_up`, in loop time."""
        if self._taken:
            return
        with anyio.CancelScope(deadline=give_up):
            await self._slots._take(self._caller)
            self._taken = True
        if not self._taken:
            why = f"its turn among the runs of batches did not come in time: {self._slots!r}"
            raise PoolTimeout(why, retry_after_s=_COME_BACK_S)

    def give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._slots._give_back()
