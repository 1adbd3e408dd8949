"""Start requests when they are due, or as fast as clients come back, and take down what became of each.

Each worker is a thread with a connection of its own. It sleeps until its next request is due (the kernel's timer, some
50 µs late), so that no queue and no event loop of ours stands between the due moment and the first byte sent.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

#: Sends one request and returns the way to judge its answer, which raises for a wrong one. Only the sending is timed.
Send = Callable[[], Callable[[], None]]
#: Makes what a worker sends with, before the clock runs.
Connect = Callable[[], Send]

#: From having started the threads to the first due moment.
_LEAD_S = 0.1


@dataclass(frozen=True, slots=True)
class Shot:
    """One request. Seconds from the beginning; `error` is empty where the answer was right."""

    due: float
    began: float
    ended: float
    error: str = ""

    @property
    def seconds(self) -> float:
        """From sending to having the whole answer."""
        return self.ended - self.began

    @property
    def seconds_from_due(self) -> float:
        """From when it was meant to be sent: what a late start adds counts (no coordinated omission)."""
        return self.ended - self.due


def follow(starts: Sequence[float], workers: int, connect: Connect) -> list[Shot]:
    """Send one request at each of `starts`, as long as one of the `workers` is free; late where none is."""
    shots: list[Shot] = []
    due = iter(sorted(starts))
    lock = threading.Lock()

    def work(send: Send, origin: float) -> None:
        while True:
            with lock:
                start = next(due, None)
            if start is None:
                return
            if (early := origin + start - time.perf_counter()) > 0:
                time.sleep(early)
            shots.append(_shoot(send, origin, start))

    _run([connect() for _ in range(min(workers, len(starts)))], work)
    return sorted(shots, key=lambda shot: (shot.due, shot.began))


def closed_loop(clients: int, seconds: float, connect: Connect) -> list[Shot]:
    """Each of `clients` sends its next request when it has the answer to the last, for `seconds`.

    How long requests took says little here: a slow server is asked less often.
    """
    shots: list[Shot] = []

    def work(send: Send, origin: float) -> None:
        if (early := origin - time.perf_counter()) > 0:
            time.sleep(early)
        while (now := time.perf_counter() - origin) < seconds:
            shots.append(_shoot(send, origin, now))

    _run([connect() for _ in range(clients)], work)
    return sorted(shots, key=lambda shot: shot.began)


def _shoot(send: Send, origin: float, due: float) -> Shot:
    began = time.perf_counter() - origin
    error = ""
    try:
        judge = send()
        ended = time.perf_counter() - origin
        judge()
    except Exception as fault:  # counted and shown, whatever it is
        ended = time.perf_counter() - origin
        error = f"{type(fault).__name__}: {fault}"[:300]
    return Shot(due, began, ended, error)


def _run(sends: list[Send], work: Callable[[Send, float], None]) -> None:
    with _no_collection():
        origin = time.perf_counter() + _LEAD_S
        threads = [threading.Thread(target=work, args=(send, origin)) for send in sends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """The load generator's own pauses are not the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def right(shots: Sequence[Shot]) -> list[Shot]:
    return [shot for shot in shots if not shot.error]


def errors(shots: Sequence[Shot]) -> dict[str, int]:
    """How often each error came."""
    counted: dict[str, int] = {}
    for shot in shots:
        if shot.error:
            counted[shot.error] = counted.get(shot.error, 0) + 1
    return counted
