"""Serve the two documents that describe the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.context import gateway_of


async def openapi(request: Request) -> Response:
    return Response(gateway_of(request).pages.openapi, media_type="application/json")


async def docs(request: Request) -> Response:
    page = gateway_of(request).pages.docs
    return Response(page.html, headers={"Content-Security-Policy": page.policy}, media_type="text/html")
