"""One method of one path: what the router, the OpenAPI document and the docs page need to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Example = Mapping[str, object]

#: Codes that the protocol answers with, before or instead of the application.
PROTOCOL_PROBLEMS = ("invalid_http", "request_timeout", "uri_too_long", "headers_too_large", "too_many_connections")
#: Codes that any request may be answered with.
ANY_PROBLEMS = (*PROTOCOL_PROBLEMS, "forbidden", "internal_error")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `problems` are the codes that it may answer with, besides those that any may;
    `takes_headers` those that a caller may add to ask for more, described in gateway/openapi.py."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    name: str
    summary: str
    status: int = 200
    answer: type[BaseModel] | None = None
    answer_example: Example | None = None
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    takes_headers: tuple[str, ...] = ()
    request: type[BaseModel] | None = None
    request_example: Example | None = None
    problems: tuple[str, ...] = ()

    @property
    def all_problems(self) -> tuple[str, ...]:
        return (*self.problems, *ANY_PROBLEMS)

    def route(self) -> Route:
        return Route(self.path, self.handler, methods=[self.method], name=self.name)
