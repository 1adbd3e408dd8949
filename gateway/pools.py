"""The pool's numbers over HTTP: `/v1/pools`, whether it can lease (`/readyz`), and `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import anyio
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.conduct import Pool
from gateway.context import gateway_of
from gateway.metrics import CONTENT_TYPE
from gateway.problems import Problem
from gateway.schema import HealthAnswer, PoolAnswer, PoolSandbox, PoolSandboxesAnswer, PoolsAnswer, ReadyAnswer
from pool.errors import PoolError, PoolUnavailable
from pool.stats import PoolStats

#: For the pool's numbers. They come out of its memory; without them in this time it hangs, and that is the answer.
_STATS_WITHIN_S = 2.0


async def pools(request: Request) -> Response:
    stats = await _stats(gateway_of(request).pool)
    shown = [PoolAnswer.model_validate(pool, from_attributes=True) for pool in stats.pools]
    return Response(to_json(PoolsAnswer(pools=shown)), media_type="application/json")


async def sandboxes(request: Request) -> Response:
    gateway = gateway_of(request)
    template: str = request.path_params["template"]
    with anyio.move_on_after(_STATS_WITHIN_S):
        found = await gateway.pool.sandboxes(template)
        shown = [PoolSandbox.model_validate(one, from_attributes=True) for one in found.sandboxes]
        answer = PoolSandboxesAnswer(template=template, sandboxes=shown, left_out=found.left_out)
        return Response(to_json(answer), media_type="application/json")
    raise PoolUnavailable(f"the pool daemon did not answer within {_STATS_WITHIN_S:g} s")


async def healthz(request: Request) -> Response:
    return Response(to_json(HealthAnswer(status="ok")), media_type="application/json")


async def readyz(request: Request) -> Response:
    gateway = gateway_of(request)
    gateway.attendance.refuse_if_draining()
    try:
        missing = _missing(await _stats(gateway.pool), gateway.templates)
    except PoolError as error:
        missing = dict.fromkeys(gateway.templates, str(error))
    if missing:
        detail = "; ".join(f"{template}: {why}" for template, why in missing.items())
        raise Problem("pool_unavailable", detail, members={"templates": missing})
    return Response(to_json(ReadyAnswer(status="ready")), media_type="application/json")


async def metrics(request: Request) -> Response:
    gateway = gateway_of(request)
    stats: PoolStats | None
    try:
        stats = await _stats(gateway.pool)
    except PoolError:
        stats = None  # the gateway's own numbers matter most just then
    return Response(
        gateway.metrics.render(stats, len(gateway.connections), gateway.bodies.bytes),
        headers={"Content-Type": CONTENT_TYPE},
    )


def _missing(stats: PoolStats, templates: Iterable[str]) -> Mapping[str, str]:
    troubles = {pool.template: pool.trouble for pool in stats.pools}
    why = {name: troubles.get(name, "the pool does not know this template") for name in templates}
    return {name: trouble for name, trouble in why.items() if trouble is not None}


async def _stats(pool: Pool) -> PoolStats:
    with anyio.move_on_after(_STATS_WITHIN_S):
        return await pool.stats()
    raise PoolUnavailable(f"the pool daemon did not answer within {_STATS_WITHIN_S:g} s")
