"""Turn bytes into frames and frames into bytes; no I/O, and no exception but `RunnerProtocolError`.

The layout is stated in PROTOCOL.md. Everything fed in is hostile: a length is checked before
anything of that length is kept.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

PROTOCOL_VERSION = 1

#: Largest payload of any frame. 1 MiB bounds what one frame can make a peer hold; larger content is
#: sent as several data frames. Raising it raises the memory a hostile sandbox can claim per channel.
MAX_PAYLOAD_BYTES = 1 << 20
#: Largest STDOUT or STDERR payload, so that one noisy stream cannot delay the other for long.
MAX_OUTPUT_PAYLOAD_BYTES = 64 << 10
#: Largest HELLO, EXIT or ERROR payload. They are JSON that the host reads whole whatever else is in it: 1 MiB of zeros
#: in a list would be 16 MiB of objects and 13 ms. Honest ones have some hundred bytes; a message of 4 KiB that is all
#: escapes has 24 KiB.
MAX_REPORT_PAYLOAD_BYTES = 64 << 10

_HEADER = struct.Struct(">BII")
HEADER_BYTES = _HEADER.size


class RunnerProtocolError(Exception):
    """The peer broke the protocol; the connection cannot be used any more."""


class Kind(enum.IntEnum):
    """What a frame is. Below 0x80 the host sends it, from 0x80 the agent does."""

    EXEC = 0x01
    STDIN = 0x02
    STDIN_END = 0x03
    SIGNAL = 0x04
    PUT = 0x05
    DATA = 0x06
    GET = 0x07
    LIST = 0x08
    STAT = 0x09
    REMOVE = 0x0A

    HELLO = 0x81
    STDOUT = 0x82
    STDERR = 0x83
    EXIT = 0x84
    ERROR = 0x85
    CONTENT = 0x86
    DONE = 0x87

    @property
    def from_agent(self) -> bool:
        return self >= 0x80


_KINDS = {int(kind): kind for kind in Kind}
_LIMITS = {kind: MAX_PAYLOAD_BYTES for kind in Kind}
_LIMITS |= dict.fromkeys((Kind.STDOUT, Kind.STDERR), MAX_OUTPUT_PAYLOAD_BYTES)
_LIMITS |= dict.fromkeys((Kind.HELLO, Kind.EXIT, Kind.ERROR), MAX_REPORT_PAYLOAD_BYTES)


@dataclass(frozen=True, slots=True)
class Frame:
    """One unit of the channel. `payload` is JSON in control frames and raw bytes in data frames."""

    kind: Kind
    stream: int
    payload: bytes = b""

    def __repr__(self) -> str:
        return f"<Frame {self.kind.name} stream={self.stream} {len(self.payload)} bytes>"


def encode(frame: Frame) -> bytes:
    """The bytes of `frame`. A payload over its limit is a `ValueError`: the caller's mistake, not the peer's."""
    limit = _LIMITS[frame.kind]
    if len(frame.payload) > limit:
        raise ValueError(f"{frame!r} is over the limit of {limit} bytes")
    return _HEADER.pack(frame.kind, frame.stream, len(frame.payload)) + frame.payload


class Decoder:
    """Collects bytes from one direction of a channel and yields whole frames.

    Holds at most one incomplete frame. How the stream is cut into `feed` calls changes nothing: frames before a
    fault are returned, the fault is in `error` at once and raised by the next call and every one after it.
    """

    def __init__(self, *, from_agent: bool) -> None:
        """`from_agent`: whose bytes these are; a frame of the other direction is an error."""
        self._from_agent = from_agent
        self._pending = bytearray()
        self.error: RunnerProtocolError | None = None

    def __repr__(self) -> str:
        state = f"broken: {self.error}" if self.error else f"{len(self._pending)} bytes pending"
        return f"<Decoder {state}>"

    @property
    def pending_bytes(self) -> int:
        """Bytes received that do not make a whole frame yet."""
        return len(self._pending)

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that `received` completes, in order, perhaps none."""
        if self.error is not None:
            raise self.error
        self._pending += received
        frames: list[Frame] = []
        start = 0
        while len(self._pending) - start >= HEADER_BYTES:
            number, stream, length = _HEADER.unpack_from(self._pending, start)
            try:
                kind = self._admit(number, length)
            except RunnerProtocolError as error:
                self.error = error
                self._pending.clear()
                if not frames:
                    raise
                return frames
            end = start + HEADER_BYTES + length
            if len(self._pending) < end:
                break
            frames.append(Frame(kind, stream, bytes(self._pending[start + HEADER_BYTES : end])))
            start = end
        del self._pending[:start]
        return frames

    def end(self) -> None:
        """The peer closed the channel. Raises when that cut a frame in two."""
        if self.error is not None:
            raise self.error
        if self._pending:
            self.error = RunnerProtocolError(f"channel ended inside a frame, {len(self._pending)} bytes in")
            raise self.error

    def _admit(self, number: int, length: int) -> Kind:
        kind = _KINDS.get(number)
        if kind is None:
            raise RunnerProtocolError(f"unknown frame kind 0x{number:02x}")
        if kind.from_agent != self._from_agent:
            raise RunnerProtocolError(f"{kind.name} is not sent in this direction")
        limit = _LIMITS[kind]
        if length > limit:
            raise RunnerProtocolError(f"{kind.name} of {length} bytes is over the limit of {limit}")
        return kind
