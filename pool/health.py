"""Know that the engine reaches its containers, and not only that it answers.

An engine's ping says that its front door is open. Behind it another process (containerd) makes and ends containers, and
may be dead or hung while pings are answered. So what counts is the last round trip that went the whole way: a boot, a
removal or, when there was none for a while, a question about one container that only its own supervisor can answer. It
is about another one each time: a container whose supervisor hangs is no reason to take the engine for dead, and is told
from that by the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from pool.engine import Engine, EngineError
from pool.sandbox import Sandbox

log = logging.getLogger(__name__)

#: Without a boot or a removal for so long, the engine is asked. An idle pool then costs it 12 ms of work in
#: that time, and an engine that lost its containers is seen before the first caller meets it, or soon after.
_ASK_AFTER_S = 5.0
#: While it does not answer.
_ASK_AGAIN_S = 1.0
#: For one answer. It takes 12 ms, on an overloaded machine a second.
_ANSWER_S = 3.0
#: Failures in a row that count. The first may be a hiccup: a restart that is over a second later.
_FAILURES = 2


class EngineHealth:
    """What the last round trips say. `watch` asks when nothing else does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failures = 0
        self._failure = ""
        self._worked_at = float("-inf")
        self._ever_answered = False  # the question, not a boot
        self._asked = ""  # the sandbox about which it was asked last
        self._silent = set[Sandbox]()  # not reached, since it last worked
        self._suspects = set[Sandbox]()  # not reached, and then it reached another

    def __repr__(self) -> str:
        return f"<EngineHealth {self.trouble or 'well'}>"

    @property
    def trouble(self) -> str | None:
        """Why the engine cannot be relied on, or None."""
        return f"the engine does not reach its containers: {self._failure}" if self._failures >= _FAILURES else None

    def worked(self) -> None:
        """Something went all the way to a container and back."""
        if self.trouble is not None:
            log.warning("the engine reaches its containers again")
        self._forget()
        self._worked_at = anyio.current_time()

    def _forget(self) -> None:
        self._failures, self._failure = 0, ""
        self._suspects |= self._silent
        self._silent.clear()

    async def watch(self, reachable: Callable[[], Sequence[Sandbox]], end: Callable[[Sandbox], None]) -> None:
        """For ever, or until it is clear that this engine cannot be asked.

        `reachable`: all that it should reach now. `end` is told of one that it twice did not reach, and others it did.
        """
        while True:
            rested_s = anyio.current_time() - self._worked_at
            await anyio.sleep(_ASK_AGAIN_S if self._failures else max(_ASK_AGAIN_S, _ASK_AFTER_S - rested_s))
            if not self._failures and anyio.current_time() - self._worked_at < _ASK_AFTER_S:
                continue
            sandbox = self._next(reachable())
            if sandbox is None:  # then only a boot can tell, and nobody is kept from asking for one
                self._forget()
            elif not await self._ask(sandbox, end):
                return

    def _next(self, reachable: Sequence[Sandbox]) -> Sandbox | None:
        """A suspect, while there is no doubt about the others; else in turn."""
        self._silent.intersection_update(reachable)
        self._suspects.intersection_update(reachable)
        in_turn = sorted(reachable if self._failures or not self._suspects else self._suspects, key=lambda one: one.id)
        later = (one for one in in_turn if one.id > self._asked)
        return next(later, in_turn[0] if in_turn else None)

    async def _ask(self, sandbox: Sandbox, end: Callable[[Sandbox], None]) -> bool:
        """False when there is no sense in asking again."""
        assert sandbox.container is not None
        self._asked = sandbox.id
        try:
            with anyio.move_on_after(_ANSWER_S):
                if await self._engine.reach(sandbox.container):
                    self._ever_answered = True
                    self._silent.discard(sandbox)
                    self._suspects.discard(sandbox)
                    self.worked()
                return True
            raise EngineError("engine_timeout", f"no answer within {_ANSWER_S:g} s")
        except EngineError as error:
            if error.reason == "refused" and not self._ever_answered and self._worked_at > float("-inf"):
                # It boots containers and has never been able to tell about one: it lacks what it would need for that.
                log.warning("this engine cannot be asked how it is, only boots and removals tell: %s", error)
                self._failures = 0
                return False
            self._failures += 1
            self._failure = str(error)
            if sandbox in self._suspects:
                self._suspects.discard(sandbox)
                end(sandbox)
            else:
                self._silent.add(sandbox)
            log.log(logging.ERROR if self._failures == _FAILURES else logging.WARNING, "%s", error)
            return True
