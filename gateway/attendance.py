"""Run something for one client: until it is done, its client goes away, or the server has to stop."""

from __future__ import annotations

import asyncio
from types import TracebackType

import anyio
from starlette.types import Receive

from gateway.body import ClientGone
from gateway.problems import Problem

#: How long something may run before anybody listens for its client's leaving. Listening costs a task and two turns of
#: the event loop; nearly every run is over before that pays. A client that left earlier is noticed then, since the
#: server remembers it. Lower it if sandboxes become so scarce that these milliseconds matter.
_LISTEN_AFTER_S = 0.02


class Attendance:
    """Everything that runs for a client now. Owns nothing: each caller ends its own when it is cut off."""

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._present: set[Attended] = set()
        self.draining = False

    def __repr__(self) -> str:
        return f"<Attendance {len(self._present)} running{', draining' if self.draining else ''}>"

    @property
    def running(self) -> int:
        """How many blocks are under way."""
        return len(self._present)

    def attend(self, receive: Receive) -> Attended:
        """A block to run something in. `receive` is the request's, with its body already read."""
        return Attended(self, receive)

    def drain(self) -> None:
        """Admit nothing new. What runs goes on."""
        self.draining = True

    def cut_off(self) -> None:
        """End all that still runs: its callers get a `draining` that says code had been running."""
        why = f"the server stops, and the run was not over in the {self._drain_s:g} s it had"
        for attended in list(self._present):
            attended.cut(Problem("draining", why, retryable=False, ran=True, retry_after_s=self._drain_s))

    def refuse_if_draining(self) -> None:
        if self.draining:
            raise Problem("draining", "the server is shutting down", retry_after_s=self._drain_s)


class Attended:
    """One block. Entering and leaving it do not wait. Cut off, it raises why, unless it had ended by itself."""

    def __init__(self, attendance: Attendance, receive: Receive) -> None:
        self._attendance = attendance
        self._receive = receive
        self._scope = anyio.CancelScope()
        self._why: Exception | None = None
        self._listener: asyncio.Task[None] | None = None

    def cut(self, why: Exception) -> None:
        """Cancel the block; it raises `why` where it ends. The first reason counts."""
        if self._why is None:
            self._why = why
            self._scope.cancel()

    async def __aenter__(self) -> Attended:
        self._attendance.refuse_if_draining()
        self._attendance._present.add(self)
        self._timer = asyncio.get_running_loop().call_later(_LISTEN_AFTER_S, self._listen)
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._attendance._present.discard(self)
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        cancelled = bool(self._scope.__exit__(kind, error, traceback))
        if cancelled and self._why is not None:
            raise self._why
        return cancelled

    def _listen(self) -> None:
        self._listener = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.cut(ClientGone())
