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
    _check_media_type(request)
    return strict_json.parse(await _read(request, limit))


def _check_media_type(request: Request) -> None:
    kind = request.headers.get("content-type")
    # None is for tools that send none; another type says that the body means something else than we would read.
    if kind is not None and kind.partition(";")[0].strip().lower() != "application/json":
        detail = f"the body must be sent as Content-Type: application/json, not {kind[:100]!r}"
        raise Problem("unsupported_media_type", detail)
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Problem(
            "unsupported_media_type", f"the body must be sent as it is, without Content-Encoding: {coding[:100]}"
        )


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
