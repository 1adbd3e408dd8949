"""What every route of one running gateway shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from gateway.attendance import Attendance
from gateway.bodies import Bodies
from gateway.conduct import Pool
from gateway.connections import Connections
from gateway.docs_page import Page
from gateway.idempotency import Idempotency
from gateway.metrics import Metrics
from gateway.sessions import Sessions
from gateway.settings import GatewaySettings
from gateway.shares import Shares
from pool.template import Template


@dataclass(frozen=True, slots=True)
class Pages:
    """Documents that are the same for every request, rendered before the first one."""

    openapi: bytes
    docs: Page


@dataclass(frozen=True, slots=True)
class Gateway:
    """Made when the server starts, gone when it stops; the pool's connection and the sessions live as long."""

    settings: GatewaySettings
    templates: Mapping[str, Template]
    pool: Pool
    sessions: Sessions
    attendance: Attendance
    metrics: Metrics
    connections: Connections
    bodies: Bodies
    idempotency: Idempotency
    shares: Shares
    pages: Pages


def gateway_of(request: Request) -> Gateway:
    """The one typed way to it: the lifespan yields it, the server hands it to each request."""
    return cast(Gateway, request.scope["state"]["gateway"])
