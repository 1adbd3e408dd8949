"""Let background work yield to requests: refill and destroy wait a little while leases arrive and runs are short."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import anyio

#: A lease this recent means that traffic is arriving. A run takes a few milliseconds, and a boot costs a core about
#: 100 ms: one that starts between two requests of a burst is paid for by the next request.
RECENT_S = 0.05
#: Longest that one piece of background work is put off, and oldest that a lease may be to count as a request: one that
#: is older is a session, or a long run, which a boot beside it does not make much longer. Higher protects bursts longer
#: and refills later; a pool that stays busy must refill all the same, since the refill rate is its sustained rate.
LONGEST_S = 0.5


class Traffic:
    """When leases arrive and end. One for all the pools of a host: they share its processors."""

    def __init__(self) -> None:
        self._last_lease = float("-inf")
        self._leases: dict[str, float] = {}  # that have not ended: when each began, the oldest first
        self._needed = anyio.Event()

    def lease_arrived(self) -> None:
        """Somebody asks for a sandbox."""
        self._last_lease = anyio.current_time()

    def lease_began(self, sandbox_id: str) -> None:
        """Somebody has one."""
        self._leases[sandbox_id] = anyio.current_time()

    def lease_ended(self, sandbox_id: str) -> None:
        self._leases.pop(sandbox_id, None)
        if not self._leases:
            self.look_again()

    def young(self) -> int:
        """How many leases are too young to be anything but requests under way."""
        since = anyio.current_time() - LONGEST_S
        return sum(1 for began in itertools.takewhile(lambda began: began > since, reversed(self._leases.values())))

    def look_again(self) -> None:
        """What `may_wait` looks at has changed: who waits for a lull asks it at once."""
        self._needed.set()
        self._needed = anyio.Event()

    async def lull(self, may_wait: Callable[[], bool]) -> None:
        """Return when no lease has arrived lately and none is young, when `may_wait` says no, or after `LONGEST_S`."""
        give_up = anyio.current_time() + LONGEST_S
        while may_wait():
            quiet_at = min(max(self._last_lease + RECENT_S, self._youngest() + LONGEST_S), give_up)
            if anyio.current_time() >= quiet_at:
                return
            with anyio.CancelScope(deadline=quiet_at):
                await self._needed.wait()

    def _youngest(self) -> float:
        return next(reversed(self._leases.values()), float("-inf"))
