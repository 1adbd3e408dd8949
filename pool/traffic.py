"""Let background work yield to requests: refill and destroy wait a little while leases are arriving."""

from __future__ import annotations

from collections.abc import Callable

import anyio

#: A lease this recent means that traffic is arriving. A run takes a few milliseconds, and a boot costs a core about
#: 150 ms: one that starts between two requests of a burst is paid for by the next request.
RECENT_S = 0.05
#: Longest that one piece of background work is put off. Higher protects bursts longer and refills later; a pool that
#: stays busy must refill all the same, since the refill rate is its sustained rate.
LONGEST_S = 0.5


class Traffic:
    """When leases arrive. One for all the pools of a host: they share its processors."""

    def __init__(self) -> None:
        self._last_lease = float("-inf")
        self._needed = anyio.Event()

    def lease_arrived(self) -> None:
        self._last_lease = anyio.current_time()

    def look_again(self) -> None:
        """What `may_wait` looks at has changed: who waits for a lull asks it at once."""
        self._needed.set()
        self._needed = anyio.Event()

    async def lull(self, may_wait: Callable[[], bool]) -> None:
        """Return when no lease has arrived lately, when `may_wait` says no, or after `LONGEST_S`."""
        give_up = anyio.current_time() + LONGEST_S
        while may_wait():
            quiet_at = min(self._last_lease + RECENT_S, give_up)
            if anyio.current_time() >= quiet_at:
                return
            with anyio.CancelScope(deadline=quiet_at):
                await self._needed.wait()
