"""What asks `petri up` to end: SIGINT, SIGTERM, and the terminal going away."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(Exception):
    """A signal asked for the end."""


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """They end the block by `Stop`."""

    def stop(number: int, frame: object) -> None:
        raise Stop

    before = {number: signal.signal(number, stop) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within `raising`: a block that must not be left half-way. One that came meanwhile raises at its end."""
    came = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise Stop


def ignore_from_now_on(longest_s: float) -> None:
    """What is being ended already must not be left half-way by another Ctrl-C. The first that comes is told so.

    `longest_s`: how long the end may take.
    """

    def tell(number: int, frame: object) -> None:
        _ignore()
        with contextlib.suppress(OSError):  # the terminal may be what went away
            # Not through a buffer that the signal may have interrupted.
            os.write(2, f"petri: ending already; this may take up to {longest_s:g} s\n".encode())

    for number in _NUMBERS:
        signal.signal(number, tell)


def _ignore() -> None:
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
