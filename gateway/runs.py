"""`POST /v1/run`: one fresh sandbox, one run, gone."""

from __future__ import annotations

import asyncio
import time

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway import strict_json
from gateway.body import read_body
from gateway.caller import caller_of
from gateway.conduct import OomKills, conduct, lease_of
from gateway.context import Gateway, gateway_of
from gateway.events import RunNames
from gateway.idempotency import Begun
from gateway.intake import Plan, plan_run
from gateway.middleware import id_of, started_at
from gateway.outcomes import answer_of
from gateway.pool_client import Lease
from gateway.schema import RunAnswer
from gateway.stages import Stages
from pool.messages import FINISHED
from runners.execution import Outcome


async def run(request: Request) -> Response:
    gateway = gateway_of(request)
    stages = Stages(started_at(request))
    body = await read_body(request, gateway.bodies, gateway.settings.body_limit_bytes)
    plan = plan_run(strict_json.parse(body), gateway.templates)
    stages.parsed()

    names = RunNames.new(id_of(request), "run")

    async def carry_out(begun: Begun) -> Response:
        async with gateway.attendance.attend(request.receive):
            lease = await lease_of(gateway.pool, plan.template, caller_of(request.scope), plan.priority)
            outcome = await run_in(gateway, lease, plan, names, begun)
            stages.ended()
        stages.thaw_s = lease.thaw_s
        lease_s = lease.lease_s - lease.queue_s
        return run_response(plan, outcome, names, lease, stages, queue_s=lease.queue_s, lease_s=lease_s)

    return await gateway.idempotency.once(request, body, carry_out)


async def run_in(gateway: Gateway, lease: Lease, plan: Plan, names: RunNames, begun: Begun) -> Outcome:
    """One run, the only one, in a leased sandbox, which is given back whatever happens."""
    begun.set()
    ended = "not finished"
    try:
        oom_kills = OomKills(gateway.pool, lease)
        outcome = await conduct(lease, plan.execution, plan.template.cpus, oom_kills, gateway.metrics, names)
        ended = "sandbox spent" if outcome.sandbox_spent else FINISHED
        return outcome
    finally:
        # One turn of the loop later: the answer is written by then, and the caller does not wait while two cores are
        # busy taking a container down.
        asyncio.get_running_loop().call_soon(gateway.pool.release, lease, ended)


def run_response(
    plan: Plan, outcome: Outcome, names: RunNames, lease: Lease, stages: Stages, *, queue_s: float, lease_s: float
) -> Response:
    """The run object, and its timings, finer, in a header."""
    answer = run_answer(plan, outcome, names, lease, stages.head_at, queue_s=queue_s, lease_s=lease_s)
    body = to_json(answer)
    headers = {"Server-Timing": stages.server_timing(answer.timings_ms, outcome)}
    return Response(body, 200, headers, "application/json")


def run_answer(
    plan: Plan, outcome: Outcome, names: RunNames, lease: Lease, since: float, *, queue_s: float, lease_s: float
) -> RunAnswer:
    """The run object; `since`, on `time.perf_counter`'s clock, is what its total counts from."""
    return answer_of(
        outcome,
        plan,
        run_id=names.run,
        sandbox_id=lease.sandbox_id,
        queue_s=queue_s,
        lease_s=lease_s,
        total_s=time.perf_counter() - since,
    )
