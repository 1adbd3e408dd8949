"""Who waits for a sandbox, and whose turn it is: fair between callers, `interactive` before `batch`, bounded.

A data structure: it wakes nobody, knows no clock and awaits nothing.

Within a class callers take turns, in proportion to their weights (self-clocked fair queueing): each caller's next
waiter carries a tag, one turn (1 / weight) after the caller's last or after the tag served last, and the lowest tag is
first. So a caller has to wait for one waiter of each other caller at most, however many those have. Only who waits is
remembered. A waiter that leaves costs its caller no turn.

Between classes: `interactive` first; but while both wait, one of `BATCH_EVERY` is of `batch`.
"""

from __future__ import annotations

import enum
import heapq
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar


class Priority(enum.StrEnum):
    INTERACTIVE = "interactive"  # somebody waits for the answer
    BATCH = "batch"  # has time


#: POLICY: while both classes wait, one sandbox of so many goes to a batch. A tenth slows the others by a tenth, and
#: lets a batch of a hundred runs through in the time that a thousand others take.
BATCH_EVERY = 10


@dataclass(slots=True, eq=False)
class Waiter:
    """One place in the queue."""

    caller: str = ""
    priority: Priority = Priority.INTERACTIVE
    weight: float = 1.0  # of its caller; twice the weight is twice the turns
    number: int = field(default=-1, init=False)  # in order of arrival


W = TypeVar("W", bound=Waiter)


class _Caller(Generic[W]):
    """One caller's waiters of one class. `tag`: of the first of them."""

    __slots__ = ("tag", "waiters")

    def __init__(self, tag: float) -> None:
        self.tag = tag
        self.waiters: OrderedDict[W, None] = OrderedDict()

    @property
    def first(self) -> W:
        return next(iter(self.waiters))


class _Line(Generic[W]):
    """One class."""

    def __init__(self) -> None:
        self.callers: dict[str, _Caller[W]] = {}
        self.length = 0
        self._served = 0.0  # tag of the last that was served
        self._heads: list[tuple[float, int, str]] = []  # a heap of (tag, number, caller), outdated ones among them

    def join(self, waiter: W) -> None:
        caller = self.callers.get(waiter.caller)
        if caller is None:
            caller = self.callers[waiter.caller] = _Caller(self._served + 1 / waiter.weight)
        caller.waiters[waiter] = None
        self.length += 1
        if len(caller.waiters) == 1:
            self._show(waiter.caller)

    def leave(self, waiter: W) -> bool:
        caller = self.callers.get(waiter.caller)
        if caller is None or waiter not in caller.waiters:
            return False
        was_first = caller.first is waiter
        del caller.waiters[waiter]
        self.length -= 1
        if not caller.waiters:
            del self.callers[waiter.caller]
        elif was_first:
            self._show(waiter.caller)
        if not self.length:  # nobody is left to be fair to
            self._served = 0.0
            self._heads.clear()
        return True

    def serve(self) -> None:
        """The first one has had its turn."""
        first = self.first()
        assert first is not None
        caller = self.callers[first.caller]
        self._served = caller.tag
        caller.tag += 1 / first.weight
        self.leave(first)

    def first(self) -> W | None:
        while self._heads:
            tag, number, name = self._heads[0]
            caller = self.callers.get(name)
            if caller is not None and caller.tag == tag and caller.first.number == number:
                return caller.first
            heapq.heappop(self._heads)
        return None

    def ahead_of(self, name: str, weight: float) -> int:
        """How many are served before one more of this caller."""
        mine = self.callers.get(name)
        own = 0 if mine is None else len(mine.waiters)
        tag = self._served + 1 / weight if mine is None else mine.tag + own / weight
        ahead = own
        for other, caller in self.callers.items():
            if other != name and caller.tag <= tag:
                turns = int((tag - caller.tag) * caller.first.weight + 1e-9) + 1
                ahead += min(len(caller.waiters), turns)
        return ahead

    def _show(self, name: str) -> None:
        caller = self.callers[name]
        if len(self._heads) > 2 * len(self.callers) + 16:  # outdated ones that never came to the top
            self._heads = [(one.tag, one.first.number, other) for other, one in self.callers.items() if other != name]
            heapq.heapify(self._heads)
        heapq.heappush(self._heads, (caller.tag, caller.first.number, name))


class WaitingLine(Generic[W]):
    """Everybody who waits for one template's sandboxes; at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[Priority, _Line[W]] = {priority: _Line() for priority in Priority}
        self._arrived = 0
        self._since_batch = 0  # of `interactive`, served one after another while a batch waited

    def __len__(self) -> int:
        return sum(line.length for line in self._lines.values())

    def __repr__(self) -> str:
        counts = ", ".join(f"{line.length} {priority} of {len(line.callers)}" for priority, line in self._lines.items())
        return f"<WaitingLine {len(self)}/{self._most}: {counts}>"

    def __iter__(self) -> Iterator[W]:
        """Everybody, in no order to rely on."""
        for line in self._lines.values():
            for caller in line.callers.values():
                yield from caller.waiters

    def first(self) -> W | None:
        """Whose turn it is."""
        return self._lines[self._next_class()].first()

    def join(self, waiter: W) -> W | None:
        """Let `waiter` in. With no room for it, returns who has to go: it, or another that is out already.

        Of the lowest class there is, the caller with the most waiters gives up its last; in doubt, the newcomer goes.
        """
        waiter.number = self._arrived
        self._arrived += 1
        out = None
        if len(self) >= self._most:
            out = self._who_has_to_go(waiter)
            if out is waiter:
                return waiter
            self.leave(out)
        self._lines[waiter.priority].join(waiter)
        return out

    def leave(self, waiter: W) -> bool:
        """Give the place up; False when it had none any more."""
        left = self._lines[waiter.priority].leave(waiter)
        self._forget_turns()
        return left

    def serve(self, waiter: W) -> None:
        """`waiter`, who is `first`, takes a sandbox and goes."""
        assert self.first() is waiter, f"it is not the turn of {waiter!r}"
        if waiter.priority is Priority.BATCH:
            self._since_batch = 0
        elif self._lines[Priority.BATCH].length:
            self._since_batch += 1
        self._lines[waiter.priority].serve()
        self._forget_turns()

    def ahead_of(self, caller: str, priority: Priority, weight: float = 1.0) -> int:
        """How many would be served before one more of `caller`, if nobody else came."""
        ahead = self._lines[priority].ahead_of(caller, weight)
        between = BATCH_EVERY - 1
        if priority is Priority.INTERACTIVE:
            batches = (self._since_batch + ahead) // between
            return ahead + min(batches, self._lines[Priority.BATCH].length)
        interactive = between * (ahead + 1) - self._since_batch
        return ahead + min(interactive, self._lines[Priority.INTERACTIVE].length)

    def _next_class(self) -> Priority:
        if not self._lines[Priority.INTERACTIVE].length:
            return Priority.BATCH
        if self._lines[Priority.BATCH].length and self._since_batch >= BATCH_EVERY - 1:
            return Priority.BATCH
        return Priority.INTERACTIVE

    def _forget_turns(self) -> None:
        if not self._lines[Priority.BATCH].length:
            self._since_batch = 0

    def _who_has_to_go(self, newcomer: W) -> W:
        lowest = self._lowest_class(newcomer)
        line = self._lines[lowest]
        counts = {name: len(caller.waiters) for name, caller in line.callers.items()}
        if newcomer.priority is lowest:
            counts[newcomer.caller] = counts.get(newcomer.caller, 0) + 1
        most = max(counts.values())
        if newcomer.priority is lowest and counts[newcomer.caller] == most:
            return newcomer
        lasts = (_last(line.callers, name) for name, count in counts.items() if count == most)
        return max(lasts, key=lambda last: last.number)

    def _lowest_class(self, newcomer: W) -> Priority:
        """`batch` if there is any, but for a tenth of all places: a full queue would starve batches otherwise."""
        if newcomer.priority is Priority.BATCH or self._lines[Priority.BATCH].length > self._most // BATCH_EVERY:
            return Priority.BATCH
        return Priority.INTERACTIVE


def _last(callers: Mapping[str, _Caller[W]], name: str) -> W:
    return next(reversed(callers[name].waiters))
