"""Serve the two documents that describe the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.context import gateway_of


async def openapi(request: Request) -> Response:
    return Response(gateway_of(request).pages.openapi, media_type="application/json")


async def docs(request: Request) -> Response:
    """The address in its examples is the one that the page was asked for at."""
    gateway = gateway_of(request)
    page = gateway.pages.docs
    host = request.headers.get("host") or f"127.0.0.1:{gateway.settings.port}"  # HTTP/1.0 may be without
    html = page.html(f"{request.url.scheme}://{host}")
    return Response(html, headers={"Content-Security-Policy": page.policy}, media_type="text/html")


async def home(request: Request) -> Response:
    """Whoever types the server's address is to see something."""
    return RedirectResponse("/docs")
