"""Destroy what a pool has doomed, and keep what the engine will not remove out of everybody's way: quarantined.

A removal that fails three times, or is not over in a few seconds, is tried again for as long as the pool lives,
in lanes of its own: it takes no turn from the others, and no room from new sandboxes until there are as many like it as
the template may have sandboxes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from pool.engine import Engine, EngineError
from pool.health import EngineHealth
from pool.sandbox import Sandbox

log = logging.getLogger(__name__)

#: Pause before the engine is asked again to remove a container that it would not remove; doubles up to the longest,
#: which is short enough for everything to be gone within ten seconds of the engine's recovery.
_RETRY_S = 0.5
_RETRY_LONGEST_S = 8.0
#: One attempt. A removal takes 0.1 s, some seconds on a machine that is overloaded. The engine itself gives up a kill
#: after about 12 s: to wait for that would keep a turn from others, and it goes on whether somebody waits or not.
_ATTEMPT_S = 5.0
#: Failures of one removal after which it is no hiccup any more.
_QUARANTINE_AFTER = 3


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many removals may be under way at once in all pools of a host."""

    usual: anyio.Semaphore
    quarantined: anyio.Semaphore

    @classmethod
    def of(cls, at_once: int) -> Lanes:
        return cls(anyio.Semaphore(at_once), anyio.Semaphore(at_once))


class Removals:
    """The removals of one pool. Whoever calls `remove` runs it, in a task that ends with the pool."""

    def __init__(
        self, engine: Engine, lanes: Lanes, health: EngineHealth, *, on_quarantine: Callable[[], None]
    ) -> None:
        self.quarantined: dict[Sandbox, str] = {}  # and why the engine did not remove it, the last time
        self._engine = engine
        self._lanes = lanes
        self._health = health
        self._on_quarantine = on_quarantine
        self._closing = anyio.Event()
        self._close_by = float("inf")  # on the loop's clock; every removal ends by then, done or not
        self._scopes: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<Removals {len(self._scopes)} under way, {len(self.quarantined)} quarantined>"

    def close_by(self, deadline: float) -> None:
        """Try again without long pauses, and end by `deadline`, done or not."""
        self._close_by = deadline
        self._closing.set()
        for scope in self._scopes:
            scope.deadline = deadline

    async def remove(self, sandbox: Sandbox, lull: Callable[[], Awaitable[None]]) -> float | None:
        """Until the engine has removed it: the seconds that took. None when the pool had to end before.

        `lull` returns when the machine has time for it. Shielded: an owner that goes away must not leave a
        container behind.
        """
        started = time.monotonic()
        with anyio.CancelScope(shield=True, deadline=self._close_by) as scope:
            self._scopes.add(scope)
            try:
                if not self._closing.is_set():
                    await lull()
                await self._until_gone(sandbox)
            finally:
                if sandbox.channel is not None:
                    sandbox.channel.close()
                self._scopes.discard(scope)
                self.quarantined.pop(sandbox, None)
        return None if sandbox.container is not None else time.monotonic() - started

    async def _until_gone(self, sandbox: Sandbox) -> None:
        failures, pause_s = 0, _RETRY_S
        while sandbox.container is not None:
            began = anyio.current_time()
            try:
                async with self._lanes.quarantined if sandbox in self.quarantined else self._lanes.usual:
                    began = anyio.current_time()
                    await self._attempt(sandbox)
            except EngineError as error:
                failures += 1
                if failures >= _QUARANTINE_AFTER or anyio.current_time() - began >= _ATTEMPT_S:
                    self._quarantine(sandbox, error)
                log.warning("%r: not destroyed, trying again in %.1f s: %s", sandbox, pause_s, error)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, _RETRY_LONGEST_S)

    async def _attempt(self, sandbox: Sandbox) -> None:
        assert sandbox.container is not None
        with anyio.move_on_after(_ATTEMPT_S):
            if await self._engine.destroy(sandbox.container):
                self._health.worked()
            sandbox.container = None
            return
        raise EngineError("engine_timeout", f"not removed within {_ATTEMPT_S:g} s")

    def _quarantine(self, sandbox: Sandbox, error: EngineError) -> None:
        is_new = sandbox not in self.quarantined
        self.quarantined[sandbox] = str(error)
        if is_new:
            log.error("%r is quarantined, since the engine does not remove it: %s", sandbox, error)
            self._on_quarantine()

    async def _pause(self, pause_s: float) -> None:
        if self._closing.is_set():
            await anyio.sleep(_RETRY_S)
            return
        with anyio.move_on_after(pause_s):
            await self._closing.wait()
