"""`/v1/sandboxes`: sessions over one sandbox each."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway import strict_json
from gateway.body import read_body, read_json
from gateway.caller import caller_of
from gateway.conduct import lease_of
from gateway.context import gateway_of
from gateway.events import RunNames
from gateway.idempotency import Begun
from gateway.intake import plan_exec, plan_sandbox
from gateway.middleware import id_of, started_at
from gateway.runs import run_response
from gateway.schema import SandboxesAnswer
from gateway.stages import Stages


async def create(request: Request) -> Response:
    gateway = gateway_of(request)
    settings = gateway.settings
    body = await read_body(request, gateway.bodies, settings.body_limit_bytes)
    plan = plan_sandbox(
        strict_json.parse(body),
        gateway.templates,
        ttl_s=settings.sandbox_ttl_s,
        max_ttl_s=settings.sandbox_max_ttl_s,
    )

    async def carry_out(begun: Begun) -> Response:
        async with gateway.attendance.attend(request.receive):
            lease = await lease_of(gateway.pool, plan.template, caller_of(request.scope), plan.priority)
            begun.set()
            sandbox = gateway.sessions.add(lease, plan)  # the registry's before anything else is awaited
        return _json(sandbox.answer(), 201, {"Location": f"/v1/sandboxes/{sandbox.id}"})

    return await gateway.idempotency.once(request, body, carry_out)


async def list_all(request: Request) -> Response:
    return _json(SandboxesAnswer(sandboxes=[sandbox.answer() for sandbox in gateway_of(request).sessions.all()]))


async def show(request: Request) -> Response:
    return _json(gateway_of(request).sessions.get(request.path_params["id"]).answer())


async def execute(request: Request) -> Response:
    gateway = gateway_of(request)
    sandbox_id: str = request.path_params["id"]
    gateway.sessions.get(sandbox_id)  # a body for a sandbox that is not there is not read
    stages = Stages(started_at(request))
    body = await read_json(request, gateway.bodies, gateway.settings.body_limit_bytes)
    sandbox = gateway.sessions.get(sandbox_id)  # looked up again: nothing is awaited from here until it is taken
    plan = plan_exec(body, sandbox.template, sandbox.env)
    stages.parsed()
    names = RunNames.new(id_of(request), "exec")
    async with gateway.attendance.attend(request.receive) as attended:
        outcome = await gateway.sessions.execute(sandbox, plan, names, attended)
        stages.ended()
    return run_response(plan, outcome, names, sandbox.lease, stages, queue_s=0.0, lease_s=0.0)


async def delete(request: Request) -> Response:
    gateway_of(request).sessions.delete(request.path_params["id"])
    return Response(status_code=204)


def _json(answer: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(answer), status, headers, "application/json")
