"""End one exec without losing its sandbox: kill it, and read the channel up to its end."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from pydantic import BaseModel

from runners.channel import Channel, ChannelClosed
from runners.messages import AgentError, Exit, parse
from runners.wire import Frame, Kind, RunnerProtocolError, encode

#: From the signal to the agent's EXIT. It waits at most 100 ms for the pipes; what takes longer than this is not well.
_END_WITHIN_S = 2.0

_KILL = b'{"signal":9}'
_OUTPUT = (Kind.STDOUT, Kind.STDERR)
#: What ends a run, and the report that is in it.
_ENDS: Mapping[Kind, type[BaseModel]] = {Kind.EXIT: Exit, Kind.ERROR: AgentError}


class Interruptible:
    """A channel for the time of one `execute`, that knows what a cancelled one leaves behind."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stream: int | None = None
        self._whole_frames = True  # nothing is half sent
        self._over = False  # the stream's last frame was received

    def new_stream(self) -> int:
        self._stream = self._channel.new_stream()
        return self._stream

    def send_now(self, encoded: bytes) -> bytes:
        rest = self._channel.send_now(encoded)
        self._whole_frames = not rest
        return rest

    async def send(self, encoded: bytes) -> None:
        await self._channel.send(encoded)
        self._whole_frames = True

    async def receive(self) -> Frame:
        frame = await self._channel.receive()
        self._over = self._over or frame.kind in _ENDS
        return frame

    async def interrupt(self) -> bool:
        """After a cancelled `execute`: True when its run is over and the channel is fit for another."""
        if self._stream is None or self._over:
            return True
        if not self._whole_frames:
            return False
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _END_WITHIN_S):
            try:
                await self._channel.send(encode(Frame(Kind.SIGNAL, self._stream, _KILL)))
                while not self._over:
                    frame = await self.receive()
                    if frame.stream != self._stream or (frame.kind not in _OUTPUT and frame.kind not in _ENDS):
                        return False
                    if frame.kind in _ENDS:
                        parse(_ENDS[frame.kind], frame)
            except (ChannelClosed, RunnerProtocolError):
                return False
            return True
        return False
