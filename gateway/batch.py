"""`POST /v1/batch`: many runs in one request, within a share of the pool, each reported as soon as it is over."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import strict_json
from gateway.batch_plan import MOST, BatchRun, plan_batch
from gateway.body import read_body
from gateway.caller import caller_of
from gateway.conduct import lease_of
from gateway.context import Gateway, gateway_of
from gateway.events import RunNames, log_refusal
from gateway.idempotency import Begun, refuse_key
from gateway.middleware import id_of, route_of
from gateway.pool_client import Lease
from gateway.problems import Problem, of_pool_error
from gateway.runs import run_answer, run_in
from gateway.schema import RunAnswer
from gateway.shares import Slot
from pool.errors import PoolError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/x-ndjson"

#: Longest silence of the stream while its reader keeps up. Contract.
KEEPALIVE_S = 10.0
_KEEPALIVE = to_json({"type": "keepalive"}) + b"\n"
#: For the last lines when the server stops: it closes connections soon after.
_LAST_LINES_S = 2.0
#: What a run costs that is understood and waits, besides its part of the body.
_RUN_BYTES = 2048


async def batch(request: Request) -> Response:
    gateway = gateway_of(request)
    refuse_key(request)
    body = await read_body(request, gateway.bodies, gateway.settings.batch_body_limit_bytes)
    with gateway.bodies.hold(caller_of(request.scope), len(body)):
        runs = await plan_batch(strict_json.parse(body, MOST), gateway.templates)
    return _BatchResponse(gateway, runs, request, len(body) + _RUN_BYTES * len(runs))


class _Write(Protocol):
    """Returns when the connection has taken the line, or has room for it."""

    async def __call__(self, body: bytes, more: bool = True) -> None: ...


class _BatchResponse(Response):
    """The stream. No more is held than the results of the runs under way: a run that is over waits until its line is
    taken before its place is used for the next, so that a slow reader slows the runs down."""

    media_type = MEDIA_TYPE

    def __init__(self, gateway: Gateway, runs: Sequence[BatchRun], request: Request, size: int) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._gateway = gateway
        self._size = size  # of what it holds until its end
        self._caller = caller_of(request.scope)
        self._request_id = id_of(request)
        self._route = route_of(request)
        self._waiting: dict[str, deque[BatchRun]] = {}  # by template, not begun yet
        for run in runs:
            self._waiting.setdefault(run.plan.template.name, deque()).append(run)
        self._under_way: dict[BatchRun, Begun] = {}
        self._unsaid: dict[BatchRun, bytes] = {}  # over, and the line has not gone out
        self._counts = Counter({"runs": len(runs), "executed": 0, "not_executed": 0})
        self._statuses: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._gateway.bodies.hold(self._caller, self._size):
            await self._stream(receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        async def write(body: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        started = False
        try:
            async with self._gateway.attendance.attend(receive):
                started = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._run_all(write)
        except Problem as problem:  # the server stops
            if not started:
                raise
            with anyio.move_on_after(_LAST_LINES_S):
                await self._report_the_rest(problem, write)
                await write(self._last_line(), more=False)
            return
        await write(self._last_line(), more=False)

    async def _run_all(self, write: _Write) -> None:
        begin, over = anyio.create_memory_object_stream[BatchRun](0)
        async with anyio.create_task_group() as tasks, over:
            async with begin:
                for template, waiting in self._waiting.items():
                    for _ in range(min(len(waiting), self._gateway.shares.sizes[template])):
                        tasks.start_soon(self._work, template, waiting, begin.clone())
            while True:
                run = None
                try:
                    with anyio.move_on_after(KEEPALIVE_S):
                        run = await over.receive()
                except anyio.EndOfStream:
                    return
                await (write(_KEEPALIVE) if run is None else self._say(run, write))

    async def _say(self, run: BatchRun, write: _Write) -> None:
        await write(self._unsaid[run])
        del self._unsaid[run]  # only now: cancelled before, it has not gone out

    async def _work(self, template: str, waiting: deque[BatchRun], over: MemoryObjectSendStream[BatchRun]) -> None:
        async with over:
            while waiting:
                run = waiting.popleft()
                with self._gateway.shares.slot(template, self._caller) as slot:
                    self._unsaid[run] = await self._report(run, slot)
                await over.send(run)

    async def _report(self, run: BatchRun, slot: Slot) -> bytes:
        begun = self._under_way[run] = Begun()
        try:
            line = self._executed(run, await self._execute(run, slot, begun))
        except PoolError as error:
            log_refusal(log, self._request_id, self._route, error.code, error.retry_after_s)
            line = self._failed(run, of_pool_error(error), executed=False)
        except Problem as problem:
            line = self._failed(run, problem, executed=problem.ran)
        except Exception:
            log.exception("run %d of a batch failed", run.index)
            line = self._failed(run, Problem("internal_error", "the gateway failed"), executed=begun.is_set)
        del self._under_way[run]
        return line

    async def _execute(self, run: BatchRun, slot: Slot, begun: Begun) -> RunAnswer:
        self._gateway.attendance.refuse_if_draining()
        give_up = anyio.current_time() + self._gateway.settings.batch_wait_s
        await slot.take(give_up)
        since = time.perf_counter()
        lease = await self._lease(run, slot, give_up)
        names = RunNames.new(self._request_id, "run")
        outcome = await run_in(self._gateway, lease, run.plan, names, begun)
        queue_s, lease_s = lease.queue_s, lease.lease_s - lease.queue_s
        return run_answer(run.plan, outcome, names, lease, since, queue_s=queue_s, lease_s=lease_s)

    async def _lease(self, run: BatchRun, slot: Slot, give_up: float) -> Lease:
        """By `give_up`. Who is told to come back later does, and lends others its slot until then: nothing has run."""
        while True:
            await slot.take(give_up)
            self._gateway.attendance.refuse_if_draining()
            left_s = max(0.0, give_up - anyio.current_time())
            try:
                return await lease_of(
                    self._gateway.pool, run.plan.template, self._caller, run.plan.priority, wait_s=left_s
                )
            except PoolError as error:
                pause_s = math.ceil(error.retry_after_s)
                if not error.retryable or anyio.current_time() + pause_s >= give_up:
                    raise
            slot.give_back()
            await anyio.sleep(pause_s)

    async def _report_the_rest(self, problem: Problem, write: _Write) -> None:
        """Those that were over, those that were cut off, and those that never began."""
        for run in list(self._unsaid):
            await self._say(run, write)
        never = Problem("draining", "the server stopped before its turn", retry_after_s=problem.retry_after_s)
        for run, begun in list(self._under_way.items()):
            await write(self._failed(run, problem if begun.is_set else never, executed=begun.is_set))
        for run in chain.from_iterable(self._waiting.values()):
            await write(self._failed(run, never, executed=False))

    def _executed(self, run: BatchRun, answer: RunAnswer) -> bytes:
        self._statuses[answer.status] += 1
        return self._line(run, executed=True, run=answer)

    def _failed(self, run: BatchRun, problem: Problem, *, executed: bool) -> bytes:
        body = problem.body()
        if problem.retry_after is not None:
            body["retry_after_s"] = problem.retry_after
        return self._line(run, executed=executed, problem=body)

    def _line(self, run: BatchRun, /, *, executed: bool, **content: object) -> bytes:
        self._counts["executed" if executed else "not_executed"] += 1
        self._gateway.metrics.batch_run(executed)
        return _encoded({"type": "result", "index": run.index, "id": run.id, "executed": executed, **content})

    def _last_line(self) -> bytes:
        return _encoded({"type": "end", "counts": {**self._counts, "statuses": self._statuses}})


def _encoded(line: Mapping[str, object]) -> bytes:
    return to_json(line) + b"\n"
