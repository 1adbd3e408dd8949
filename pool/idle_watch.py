"""Notice at once when an idle channel ends, for any number of channels, with one task.

Channels are added and removed without awaiting, so that handing one over stays one step. (A task per channel that
waits for it would have to be cancelled, and awaited, before the channel could go to somebody else.)
"""

from __future__ import annotations

import select
from collections.abc import Callable
from types import TracebackType

import anyio

from runners.channel import Channel


class IdleWatch:
    """Calls back for each watched channel that becomes readable: an idle sandbox has nothing to say, so it has died
    or misbehaves."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def __enter__(self) -> IdleWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._epoll.close()

    def __repr__(self) -> str:
        return f"<IdleWatch {len(self._callbacks)} channels>"

    def add(self, channel: Channel, on_noise: Callable[[], None]) -> None:
        """Watch `channel` until `remove`. `on_noise` is called at most once."""
        fd = channel.fileno()
        # EPOLLONESHOT: a callback that does not remove its channel must not be called for ever.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT)
        self._callbacks[fd] = on_noise

    def remove(self, channel: Channel) -> None:
        """Stop watching. Again, or for a channel never added, is harmless."""
        fd = channel.fileno()
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    async def run(self) -> None:
        """Watch for ever. An epoll descriptor is itself readable when one of its members is."""
        while True:
            await anyio.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0):
                callback = self._callbacks.get(fd)
                if callback is not None:
                    callback()
