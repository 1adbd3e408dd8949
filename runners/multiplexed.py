"""Take the container's standard output out of Docker's attach stream, which mixes it with standard error.

Docker precedes each chunk with eight bytes: stream (1 output, 2 error), three zeros, length u32 BE.
Nothing is buffered but an incomplete header, whatever length a chunk claims.
"""

from __future__ import annotations

from runners.wire import RunnerProtocolError

_HEADER_BYTES = 8
_STDOUT, _STDERR = 1, 2


class Demultiplexer:
    """Feed it what the attach stream delivers; it returns what the container wrote to standard output.

    How the stream is cut into `feed` calls changes nothing: bytes before a fault are returned, the fault is in `error`
    at once and raised by the next call and every one after it.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0
        self._keep = False
        self.error: RunnerProtocolError | None = None

    def feed(self, received: bytes) -> bytes:
        """Standard output among `received`. Standard error is dropped: it is not part of the protocol."""
        if self.error is not None:
            raise self.error
        kept: list[bytes] = []
        at = 0
        while at < len(received):
            if self._left == 0:
                missing = _HEADER_BYTES - len(self._header)
                self._header += received[at : at + missing]
                at += missing
                if len(self._header) < _HEADER_BYTES:
                    break
                try:
                    self._open_chunk()
                except RunnerProtocolError as error:
                    self.error = error
                    if not kept:
                        raise
                    break
                continue
            chunk = received[at : at + self._left]
            at += len(chunk)
            self._left -= len(chunk)
            if self._keep:
                kept.append(chunk)
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def _open_chunk(self) -> None:
        stream = self._header[0]
        if stream not in (_STDOUT, _STDERR) or any(self._header[1:4]):
            raise RunnerProtocolError(f"not an attach stream header: {bytes(self._header).hex()}")
        self._keep = stream == _STDOUT
        self._left = int.from_bytes(self._header[4:], "big")
        self._header.clear()
