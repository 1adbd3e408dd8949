"""Read a request's body, at most to its cap, and understand it as JSON."""

from __future__ import annotations

from starlette.requests import Request

from gateway import strict_json
from gateway.problems import Problem


class ClientGone(Exception):
    """The client closed its connection; nobody is left to answer."""


async def read_json(request: Request, limit: int) -> object:
    """The body as JSON. A `Problem` when it is no JSON, of another kind, or too large: as its head says, or when more
    than `limit` has come in.

    How long it may take to come in is the protocol's to watch; a body that is late ends in `ClientGone`.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            if int(value) > limit:
                raise _too_large(f"the body is {int(value)} bytes", limit)
        elif name == b"content-type":
            # A body without is taken for JSON, for tools that send none; another type says that it means something else
            # than we would read.
            if value.partition(b";")[0].strip().lower() != b"application/json":
                raise _of_another_kind("as Content-Type: application/json, not", value)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise _of_another_kind("as it is, without Content-Encoding:", value)
    return strict_json.parse(await _read(request, limit))


async def _read(request: Request, limit: int) -> bytes:
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


def _of_another_kind(how: str, given: bytes) -> Problem:
    return Problem("unsupported_media_type", f"the body must be sent {how} {given[:100].decode('latin-1')!r}")
