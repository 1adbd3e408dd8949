"""Put the gateway together: settings and templates in, an ASGI application out."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from gateway import docs_page, documents, openapi
from gateway.attendance import Attendance
from gateway.bodies import Bodies
from gateway.conduct import Pool
from gateway.connections import Connections
from gateway.context import Gateway, Pages
from gateway.cross_origin import CrossOriginProtection
from gateway.events import log_refusal
from gateway.idempotency import Idempotency
from gateway.metrics import Metrics
from gateway.middleware import Boundary, id_of, route_of
from gateway.pool_client import PoolClient
from gateway.problems import Problem, of_pool_error
from gateway.routes import ENDPOINTS
from gateway.sessions import Sessions
from gateway.settings import GatewaySettings
from gateway.shares import Shares
from pool.errors import PoolError
from pool.template import Template

log = logging.getLogger(__name__)

PoolFactory = Callable[[], AbstractAsyncContextManager[Pool]]


def create_app(
    settings: GatewaySettings,
    templates: Iterable[Template],
    *,
    attendance: Attendance | None = None,
    connect: PoolFactory | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application. `attendance` is for whoever has to drain it; `connect` makes another pool than the daemon's;
    `clock` is what sandboxes and kept answers expire by."""
    by_name: Mapping[str, Template] = {template.name: template for template in templates}
    metrics = Metrics(by_name)
    present = Attendance(settings.drain_s) if attendance is None else attendance
    pages = _pages()
    open_pool = connect or partial(PoolClient.connect, settings.pool_socket)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Gateway]]:
        bodies = Bodies(settings.bodies_bytes)
        async with open_pool() as pool, Sessions.opened(pool, metrics, clock=clock) as sessions:
            yield {
                "gateway": Gateway(
                    settings,
                    by_name,
                    pool,
                    sessions,
                    present,
                    metrics,
                    Connections(settings.max_connections),
                    bodies,
                    Idempotency(present, bodies, metrics, clock=clock),
                    Shares(by_name.values(), settings.batch_share),
                    pages,
                )
            }

    app = Starlette(
        # Whoever types the address gets the page; not a part of the API, and so in none of its documents.
        routes=[
            *(one.route() for one in ENDPOINTS),
            Route("/", documents.home, methods=["GET"], include_in_schema=False),
        ],
        middleware=[Middleware(Boundary, metrics), Middleware(CrossOriginProtection, settings)],
        exception_handlers={Problem: _on_problem, PoolError: _on_pool_error, HTTPException: _on_no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # /v1/run/ is another path, and a POST does not survive every redirect
    return app


def _pages() -> Pages:
    release = version("petri")
    return Pages(to_json(openapi.document(ENDPOINTS, release)), docs_page.render(ENDPOINTS, release))


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    if error.kind.waits and not error.ran:
        log_refusal(log, id_of(request), route_of(request), error.code, error.retry_after_s)
    return error.response()


async def _on_pool_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PoolError)
    log_refusal(log, id_of(request), route_of(request), error.code, error.retry_after_s)
    return of_pool_error(error).response()


async def _on_no_route(request: Request, error: Exception) -> Response:
    """What the router raises: nothing there (404), or not for this method (405)."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    methods = {"OPTIONS"}
    for route in request.app.routes:
        if isinstance(route, Route) and route.methods and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods
    if error.status_code != 405:
        return Problem("not_found", f"there is nothing at {path[:200]!r}; /docs has what there is").response()
    allow = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    detail = f"{path[:200]} does not take {request.method}; it takes {allow['Allow']}"
    return Problem("method_not_allowed", detail, headers=allow).response()
