"""`POST /v1/run`: one fresh sandbox, one run, gone."""

from __future__ import annotations

import asyncio
import time

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.body import read_json
from gateway.conduct import OomKills, conduct, lease_of
from gateway.context import gateway_of
from gateway.events import RunNames
from gateway.intake import Plan, plan_run
from gateway.middleware import id_of, started_at
from gateway.outcomes import answer_of
from gateway.pool_client import Lease
from gateway.stages import Stages
from pool.messages import FINISHED
from runners.execution import Outcome


async def run(request: Request) -> Response:
    gateway = gateway_of(request)
    stages = Stages(started_at(request))
    plan = plan_run(await read_json(request, gateway.settings.body_limit_bytes), gateway.templates)
    stages.parsed()
    names = RunNames.new(id_of(request), "run")
    async with gateway.attendance.attend(request.receive):
        lease = await lease_of(gateway.pool, plan.template)
        ended = "not finished"
        try:
            outcome = await conduct(lease, plan.execution, OomKills(gateway.pool, lease), gateway.metrics, names)
            stages.ended()
            ended = "sandbox spent" if outcome.sandbox_spent else FINISHED
        finally:
            # One turn of the loop later: the answer is written by then, and the caller does not wait while two cores
            # are busy taking a container down.
            asyncio.get_running_loop().call_soon(gateway.pool.release, lease, ended)
    stages.thaw_s = lease.thaw_s
    lease_s = lease.lease_s - lease.queue_s
    return run_response(plan, outcome, names, lease, stages, queue_s=lease.queue_s, lease_s=lease_s)


def run_response(
    plan: Plan, outcome: Outcome, names: RunNames, lease: Lease, stages: Stages, *, queue_s: float, lease_s: float
) -> Response:
    """The run object, and its timings, finer, in a header."""
    answer = answer_of(
        outcome,
        plan,
        run_id=names.run,
        sandbox_id=lease.sandbox_id,
        queue_s=queue_s,
        lease_s=lease_s,
        total_s=time.perf_counter() - stages.head_at,
    )
    body = to_json(answer)
    headers = {"Server-Timing": stages.server_timing(answer.timings_ms, outcome)}
    return Response(body, 200, headers, "application/json")
