"""The outermost layer: each request gets an id, each response its headers, each fault an answer, each end a count."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import cast

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.body import ClientGone
from gateway.metrics import Metrics
from gateway.problems import Problem

log = logging.getLogger(__name__)

#: A caller's own id is taken as it is if it can neither break a header nor a line of a log.
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

#: As nginx counts a client that left before its answer.
_CLIENT_GONE = "499"

#: Nothing the API answers is to be rendered, guessed at, framed or kept by a browser.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")

_STARTED = "petri.started"


def started_at(request: Request) -> float:
    """When the request's head had been read, on `time.perf_counter`'s clock."""
    return cast(float, request.scope[_STARTED])


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
        request_id = _request_id(scope)
        status = ""

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                headers = [*message["headers"], (b"x-request-id", request_id), *_HEADERS]
                if not any(name == _POLICY[0] for name, _ in headers):
                    headers.append(_POLICY)
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientGone:
            status = _CLIENT_GONE
        except Exception:
            log.exception("%s %s failed; request id %s", scope["method"], _route(scope), request_id.decode())
            if status:
                raise  # half an answer is out: only closing the connection says that it is wrong
            await _internal_error().response()(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request_took(_route(scope), scope["method"], status or _CLIENT_GONE, seconds)


def _internal_error() -> Problem:
    return Problem("internal_error", "the gateway failed; its log has more under this answer's X-Request-ID")


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return cast(bytes, value)
    return b"req_" + secrets.token_hex(16).encode()


def _route(scope: Scope) -> str:
    """The path's template, so that neither ids nor scanners make a time series each."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "unmatched"
