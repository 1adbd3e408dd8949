"""Read a request's body, at most to its cap, and understand it as JSON."""

from __future__ import annotations

from pydantic_core import from_json
from starlette.requests import Request

from gateway.problems import Fault, Problem, invalid


class ClientGone(Exception):
    """The client closed its connection; nobody is left to answer."""


async def read_json(request: Request, limit: int) -> object:
    """The body as JSON. A `Problem` when it is too large (known from the head, or while it comes in) or no JSON."""
    _check_media_type(request.headers.get("content-type"))
    body = await _read(request, limit)
    try:
        return from_json(body)
    except ValueError as error:
        raise Problem("invalid_json", f"the body of {len(body)} bytes is not UTF-8 JSON: {error}") from None


def _check_media_type(given: str | None) -> None:
    # None is for tools that send none; another type says that the body means something else than we would read.
    if given is not None and given.partition(";")[0].strip().lower() != "application/json":
        raise invalid([Fault("body", f"must be sent as Content-Type: application/json, not {given[:100]!r}")])


async def _read(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(f"the body is {declared[:20]} bytes", limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(f"the body is longer than {size - len(chunk)} bytes", limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(what: str, limit: int) -> Problem:
    return Problem("body_too_large", f"{what}; the limit is {limit} bytes ({limit >> 20} MiB)")
