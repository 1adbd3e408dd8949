"""Read a request's body, at most to its cap, and understand it as JSON."""

from __future__ import annotations

from starlette.requests import Request

from gateway import strict_json
from gateway.bodies import Bodies
from gateway.problems import Problem


class ClientGone(Exception):
    """The client closed its connection; nobody is left to answer."""


async def read_json(request: Request, bodies: Bodies, limit: int) -> object:
    """The body, as `read_body` has it, as JSON; a `Problem` when it is none."""
    return strict_json.parse(await read_body(request, bodies, limit))


async def read_body(request: Request, bodies: Bodies, limit: int) -> bytes:
    """A body that says it is JSON. A `Problem` when it is of another kind, or too large: as its head says, or when more
    than `limit` has come in, or when all of `bodies` are too much.

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
    piece, more = await _piece(request)
    if not more and len(piece) <= limit:
        return piece
    with bodies.coming() as coming:
        while True:
            if coming.size + len(piece) > limit:
                raise _too_large(f"the body is longer than {coming.size} bytes", limit)
            coming.add(piece)
            if coming.was_let_go:
                raise Problem("too_many_bodies", f"this body had been coming in for the longest: {bodies!r}")
            if not more:
                return coming.whole()
            piece = b""  # only `coming` holds on to it, and may let it go while we wait for the next
            piece, more = await _piece(request)


async def _piece(request: Request) -> tuple[bytes, bool]:
    """The next one, and whether there are more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _too_large(what: str, limit: int) -> Problem:
    return Problem("body_too_large", f"{what}; the limit is {limit} bytes ({limit >> 20} MiB)")


def _of_another_kind(how: str, given: bytes) -> Problem:
    return Problem("unsupported_media_type", f"the body must be sent {how} {given[:100].decode('latin-1')!r}")
