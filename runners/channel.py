"""Send and receive frames over the one socket that leads to a sandbox's agent."""

from __future__ import annotations

import contextlib
import enum
import socket
from collections import deque

import anyio
import anyio.lowlevel

from runners.multiplexed import Demultiplexer
from runners.wire import Decoder, Frame, RunnerProtocolError, encode

#: One read. What is in it is dealt with before anybody else on the event loop gets a turn, and a hostile sandbox makes
#: its frames as small as it can: 8 KiB are 819 of them and 1.5 ms. Larger, one sandbox holds up the others for longer;
#: smaller, bulk output costs more system calls (at 8 KiB it still comes in at 1 GB/s).
_READ_BYTES = 8 << 10
#: Reads in a row that found something, before the others get a turn. Two, because nearly every run has said all it had
#: to say in one, and the second only finds that out.
_READS_A_TURN = 2
#: More frames than this in one turn are mostly headers: somebody writes byte by byte, or means harm. The channel then
#: rests for longer than such a turn takes, so that the others have more than half of the loop. Meanwhile the guest's
#: output gathers in its pipe, and an honest agent goes on with larger frames.
_CROWD = 512
_REST_S = 0.005


class Transport(enum.Enum):
    """What the socket carries toward the host. Toward the sandbox it always carries bare frames."""

    RAW = "raw"  # frames and nothing else
    DOCKER = "docker"  # frames inside Docker's attach stream


class ChannelClosed(Exception):
    """The other end is gone: the agent or its container died, or the engine dropped the stream."""


class Channel:
    """One duplex stream of frames. Owns its socket; one task may send while one other receives.

    A cancelled `receive` loses no frame. A cancelled `send` may have sent a part: close the channel then.
    """

    def __init__(self, sock: socket.socket, transport: Transport) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._demultiplexer = Demultiplexer() if transport is Transport.DOCKER else None
        self._decoder = Decoder(from_agent=True)
        self._received: deque[Frame] = deque()
        self._next_stream = 1
        self._reads = self._frames = 0  # since the others had a turn

    def __repr__(self) -> str:
        return f"<Channel fd={self._socket.fileno()} {len(self._received)} frames waiting, {self._decoder!r}>"

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def new_stream(self) -> int:
        """A stream number that this channel has not used before."""
        stream = self._next_stream
        self._next_stream += 1
        return stream

    def send_now(self, encoded: bytes) -> bytes:
        """Send what the kernel takes without waiting; returns what it did not take."""
        try:
            sent = self._socket.send(encoded)
        except BlockingIOError:
            return encoded
        except OSError as error:
            raise ChannelClosed(f"sending: {error.strerror}") from error
        return encoded[sent:]

    async def send(self, encoded: bytes) -> None:
        """Send all of it, waiting as long as the sandbox does not read."""
        rest = memoryview(encoded)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise ChannelClosed(f"sending: {error.strerror}") from error

    async def receive(self) -> Frame:
        """The next frame. Raises `ChannelClosed` at the end, `RunnerProtocolError` on anything malformed."""
        while not self._received:
            if (fault := self._fault()) is not None:
                raise fault
            if self._reads == _READS_A_TURN:
                await self._let_others_run()
            try:
                received = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                self._reads = self._frames = 0
                continue
            except OSError as error:
                raise ChannelClosed(f"receiving: {error.strerror}") from error
            if not received:
                where = ", inside a frame" if self._decoder.pending_bytes else ""
                raise ChannelClosed(f"the sandbox closed its channel{where}")
            self._reads += 1
            self._take_in(received)
        return self._received.popleft()

    def is_quiet(self) -> bool:
        """True while the other end is connected and has nothing said that was not received."""
        if self._received or self._decoder.pending_bytes or self._fault() is not None:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close the socket, which ends the agent. Again is harmless."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _take_in(self, received: bytes) -> None:
        if self._demultiplexer is not None:
            received = self._demultiplexer.feed(received)
        frames = self._decoder.feed(received)
        self._frames += len(frames)
        self._received.extend(frames)

    def _fault(self) -> RunnerProtocolError | None:
        """What the other end did wrong; the frames before it are still to be received."""
        if self._decoder.error is None and self._demultiplexer is not None:
            return self._demultiplexer.error
        return self._decoder.error

    async def _let_others_run(self) -> None:
        """Without this, a sandbox that is never quiet would have the loop for itself, past every deadline."""
        if self._frames > _CROWD:
            await anyio.sleep(_REST_S)
        else:
            await anyio.lowlevel.checkpoint()
        self._reads = self._frames = 0


def encode_all(frames: list[Frame]) -> bytes:
    """The bytes of several frames, so that they can leave in one system call."""
    return b"".join(map(encode, frames))
