"""Carry out one run in a leased sandbox, and have the host's counters confirm how it ended."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import anyio

from gateway.events import RUN_ENDED, RunNames
from gateway.metrics import LOST, Metrics
from gateway.outcomes import status_of
from gateway.overdue import stands_still
from gateway.pool_client import Lease
from gateway.problems import Fault, SandboxLost, invalid, of_not_executed
from pool.engine import Usage
from pool.errors import PoolError
from pool.messages import SandboxesAre
from pool.stats import PoolStats
from pool.template import Template
from pool.waiting import Priority
from runners.channel import ChannelClosed
from runners.execution import Died, Execution, FrameStream, NotExecuted, Outcome, StdinOverflow, execute
from runners.wire import RunnerProtocolError

log = logging.getLogger(__name__)

#: In the log, of what was refused by the sandbox before any of it ran.
_NOT_EXECUTED = "not_executed"
#: Beyond the time that the daemon lets a caller wait, for it to say so.
_POOL_SLACK_S = 1.0
#: For the host's counters, after the run. They are one small file's worth; a daemon that takes longer is in trouble,
#: and the answer goes out without them.
_USAGE_WITHIN_S = 0.2
#: The same after the agent's death. Its counters go with it, and then the engine is asked until it has noticed.
_USAGE_OF_THE_DEAD_WITHIN_S = 2.0
#: The same after the run's deadline: an answer is promised a second after that, and 0.7 s of it are over.
_USAGE_WHEN_OVERDUE_S = 0.1
#: A run's deadline and this are when its answer must be on its way: 0.15 s and more for the two looks that tell a
#: sandbox that stands still, and the rest of the second for the answer.
_ANSWER_WITHIN_S = 0.95


class Pool(Protocol):
    """What the gateway needs of `PoolClient`."""

    async def lease(
        self,
        template: str,
        *,
        caller: str = ...,
        priority: Priority = ...,
        wait_s: float | None = ...,
        within_s: float = ...,
    ) -> Lease: ...
    def release(self, lease: Lease, reason: str) -> None: ...
    async def usage(self, lease: Lease) -> Usage: ...
    async def stats(self) -> PoolStats: ...
    async def sandboxes(self, template: str) -> SandboxesAre: ...


async def lease_of(
    pool: Pool, template: Template, caller: str, priority: Priority, *, wait_s: float | None = None
) -> Lease:
    """A lease, or a `PoolError` soon after `wait_s` (the template's where None), whatever state the daemon is in."""
    within_s = (template.wait_s if wait_s is None else wait_s) + _POOL_SLACK_S
    return await pool.lease(template.name, caller=caller, priority=priority, wait_s=wait_s, within_s=within_s)


class OomKills:
    """The host's count of out-of-memory kills in one leased sandbox."""

    def __init__(self, pool: Pool, lease: Lease) -> None:
        self.pool = pool
        self._lease = lease
        self._seen = 0

    async def rose(self, within_s: float = _USAGE_WITHIN_S) -> bool:
        """Since it was asked last. False where the host cannot tell, or the pool does not answer."""
        kills = self._seen
        with anyio.move_on_after(within_s), suppress(PoolError):
            kills = (await self.pool.usage(self._lease)).oom_kills
        rose, self._seen = kills > self._seen, kills
        return rose


async def conduct(
    lease: Lease,
    execution: Execution,
    cpus: float,
    oom_kills: OomKills,
    metrics: Metrics,
    names: RunNames,
    channel: FrameStream | None = None,
) -> Outcome:
    """The run's outcome; its end is counted and logged. `cpus`: the sandbox's share of processors. `channel` stands for
    the lease's own.

    Raises `SandboxLost` when the sandbox cannot be used any more, another `Problem` when nothing ran. Cancelled, it
    leaves the run going.
    """
    status: str | None = "cancelled"
    outcome: Outcome | None = None
    answer_by = anyio.current_time() + execution.timeout_s + _ANSWER_WITHIN_S
    try:
        if not lease.channel.is_quiet():
            status = LOST
            raise SandboxLost("it died, or spoke out of turn, before anything was sent to it", ran=False)
        try:
            outcome = await execute(channel or lease.channel, execution)
        except Died as error:
            # The kernel may have taken the agent, when a guest had made itself smaller than it.
            left_s = answer_by - anyio.current_time()
            if not await oom_kills.rose(min(max(left_s, _USAGE_WHEN_OVERDUE_S), _USAGE_OF_THE_DEAD_WITHIN_S)):
                status = LOST
                raise SandboxLost(str(error), ran=True) from error
            outcome = replace(error.outcome, oom=True)
        except NotExecuted as error:
            status = None  # no run, so none to count
            raise of_not_executed(error, _subject(execution)) from error
        except StdinOverflow as error:
            status = "failed"
            raise invalid([Fault("stdin", f"was left unread, and the run was ended: {error}")], ran=True) from error
        except (ChannelClosed, RunnerProtocolError) as error:
            status = LOST
            raise SandboxLost(str(error), ran=True) from error
        asked_within_s = _USAGE_WHEN_OVERDUE_S if outcome.overdue else _USAGE_WITHIN_S
        if outcome.exit_code != 0 and not outcome.oom and await oom_kills.rose(asked_within_s):
            outcome = replace(outcome, oom=True)
        if (
            outcome.overdue
            and not outcome.oom
            and await stands_still(oom_kills.pool, lease, cpus=cpus, answer_by=answer_by)
        ):
            status = LOST
            raise SandboxLost("nothing was heard of it after the run's time was over", ran=True)
        status = status_of(outcome)
        metrics.run_took(lease.template, outcome.duration_s)
        return outcome
    finally:
        if status is not None:
            metrics.run_ended(lease.template, status)
        RUN_ENDED.log(log, **names.values(lease, status or _NOT_EXECUTED, outcome))


def _subject(execution: Execution) -> str:
    """The field that an agent's refusal can be about: it has no other paths from the caller."""
    if len(execution.files) > (execution.program is not None):
        return "files"
    return "code" if execution.cwd is None else "cwd"  # a guest may have made a directory where the program goes
