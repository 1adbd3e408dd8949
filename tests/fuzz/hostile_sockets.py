"""Sockets whose other end never falls silent, so that a receiver that does not stop by itself never does."""

from __future__ import annotations

import socket
import time


class Endless:
    """Stands where a socket does, and always has the same bytes to read; fails the test that reads it for too long."""

    def __init__(self, said: bytes, *, for_s: float) -> None:
        self._said = said * max(1, (256 << 10) // len(said))
        self._unit = len(said)
        self._at = 0
        self._ends = time.monotonic() + for_s

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def fileno(self) -> int:
        return -1

    def send(self, encoded: bytes) -> int:
        return len(encoded)

    def recv(self, most: int, flags: int = 0) -> bytes:
        if flags & socket.MSG_PEEK:
            return self._said[self._at : self._at + most]
        assert time.monotonic() < self._ends, "the host reads on and on"
        received = self._said[self._at : self._at + most]
        self._at = (self._at + len(received)) % self._unit  # where in a unit the next read begins
        return received

    def close(self) -> None:
        pass


class Scripted(Endless):
    """Has these bytes to read, once, and is closed then."""

    def recv(self, most: int, flags: int = 0) -> bytes:
        received = self._said[self._at : self._at + most]
        self._at += 0 if flags & socket.MSG_PEEK else len(received)
        return received
