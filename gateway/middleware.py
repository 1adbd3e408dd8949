"""The outermost layer: each request gets an id, each response its headers, each fault an answer, each end a count."""

from __future__ import annotations

import logging
import time
from typing import cast

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.body import ClientGone
from gateway.headers import complete, request_id
from gateway.metrics import Metrics
from gateway.problems import Problem

log = logging.getLogger(__name__)

#: As nginx counts a client that left before its answer.
_CLIENT_GONE = "499"

#: Kept in a request's scope: when it began; its id; the status of an answer that the protocol gave in our place.
_STARTED = "petri.started"
REQUEST_ID = "petri.request_id"
ANSWERED = "petri.answered"


def started_at(request: Request) -> float:
    """When the request's head had been read, on `time.perf_counter`'s clock."""
    return cast(float, request.scope[_STARTED])


def id_of(request: Request) -> bytes:
    """The request's id: the caller's own, or one made here. It can break no line of a log."""
    return cast(bytes, request.scope[REQUEST_ID])


def route_of(request: Request) -> str:
    """The template of its path."""
    return _route(request.scope)


class Boundary:
    """Pure ASGI: no task and no queue of its own."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = scope[_STARTED] = time.perf_counter()
        id_of_request = scope[REQUEST_ID] = request_id(scope["headers"])
        status = ""

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message["headers"] = complete(message["headers"], id_of_request)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientGone:
            status = scope.get(ANSWERED, _CLIENT_GONE)
        except Exception:
            log.exception("%s %s failed; request id %s", scope["method"], _route(scope), id_of_request.decode())
            if status:
                raise  # half an answer is out: only closing the connection says that it is wrong
            await _internal_error().response()(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request_took(_route(scope), scope["method"], status or _CLIENT_GONE, seconds)


def _internal_error() -> Problem:
    return Problem("internal_error", "the gateway failed; its log has more under this answer's X-Request-ID")


def _route(scope: Scope) -> str:
    """The path's template, so that neither ids nor scanners make a time series each."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "unmatched"
