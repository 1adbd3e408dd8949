"""Say what went wrong, and by whose fault: one table from public code to HTTP status, and RFC 9457 bodies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from starlette.responses import Response

from pool.errors import PoolError
from runners.execution import NotExecuted

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """What every problem of one code has in common."""

    status: int
    title: str
    retryable: bool = False  # the same request may be sent again: nothing of it was carried out
    waits: bool = False  # carries Retry-After
    meaning: str = ""  # for the docs page


#: The only place where an HTTP status is chosen for a fault.
KINDS: Mapping[str, Kind] = {
    "invalid_json": Kind(400, "The body is not JSON", meaning="The body cannot be read as UTF-8 JSON."),
    "invalid_request": Kind(
        400, "The request is not valid", meaning="`errors` names every fault, each with its field."
    ),
    "invalid_http": Kind(
        400, "The request is not HTTP/1.1", meaning="What was sent breaks the protocol; the connection is closed."
    ),
    "forbidden": Kind(
        403,
        "Not from here",
        meaning="A web page of another origin sent it, or it was sent to a name that is not this server's.",
    ),
    "not_found": Kind(404, "There is nothing here", meaning="No such path, or a sandbox that was never known."),
    "unknown_language": Kind(404, "No such language", meaning="No template has this name; the detail lists them."),
    "method_not_allowed": Kind(405, "The path does not take this method", meaning="`Allow` lists those it takes."),
    "request_timeout": Kind(
        408,
        "The request was too slow",
        True,
        meaning="Its head or its body was not whole in time; nothing was carried out, and the connection is closed.",
    ),
    "sandbox_busy": Kind(409, "The sandbox is busy", True, meaning="Another exec is running in this sandbox."),
    "idempotency_key_reused": Kind(
        409, "The key stands for another request", meaning="The same `Idempotency-Key` came with another body before."
    ),
    "idempotency_key_unanswered": Kind(
        409,
        "The key's first request has no answer",
        meaning="Its client left while code may have been running, and it is not run again.",
    ),
    "sandbox_gone": Kind(
        410,
        "The sandbox is gone",
        meaning="`reason` is `deleted`, `expired`, `oom`, `died` or `shutdown`; known for ten minutes.",
    ),
    "body_too_large": Kind(413, "The body is too large", meaning="Refused before any sandbox was leased."),
    "uri_too_long": Kind(414, "The path is too long", meaning="The connection is closed."),
    "unsupported_media_type": Kind(
        415, "The body is of another kind", meaning="A body is `application/json`, without a Content-Encoding."
    ),
    "headers_too_large": Kind(
        431, "The head is too large", meaning="In bytes or in headers; the connection is closed."
    ),
    "too_many_waiting": Kind(
        429,
        "Too many callers are waiting",
        True,
        waits=True,
        meaning="The pool's queue is full, or what waits takes as much memory as it may.",
    ),
    "internal_error": Kind(500, "The gateway failed", meaning="A fault of Petri's own; its log has the request's id."),
    "sandbox_lost": Kind(
        502, "The sandbox was lost", meaning="It or its agent died under us; `retryable` says whether code had started."
    ),
    "pool_timeout": Kind(503, "No sandbox in time", True, waits=True, meaning="Nothing became ready while waiting."),
    "pool_unavailable": Kind(503, "The pool cannot lease", True, waits=True, meaning="The pool or its engine is away."),
    "too_many_bodies": Kind(
        503,
        "Too many bodies at once",
        True,
        waits=True,
        meaning="Bodies that are still coming in take as much memory as they may; the longest at it was let go.",
    ),
    "too_many_connections": Kind(
        503, "Too many connections", True, waits=True, meaning="As many as may be are being served; this one is closed."
    ),
    "draining": Kind(503, "Shutting down", True, waits=True, meaning="Nothing new is accepted, or a run was cut off."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request; `field` is a path such as `files[0].path`, or `body`."""

    field: str
    message: str


class Problem(Exception):
    """An answer that is not a success. `detail` is a sentence that carries the numbers; `ran`: code may have run."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool | None = None,
        ran: bool = False,
        retry_after_s: float = 1.0,
        faults: Sequence[Fault] = (),
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.kind = KINDS[code]
        self.retryable = self.kind.retryable if retryable is None else retryable
        self.ran = ran
        self.retry_after_s = retry_after_s
        self.faults = tuple(faults)
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {
            "type": f"/docs#{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
        }
        if self.faults:
            body["errors"] = [{"field": fault.field, "message": fault.message} for fault in self.faults]
        return body | self.members

    @property
    def retry_after(self) -> int | None:
        """In whole seconds; None where it makes no sense."""
        return max(1, math.ceil(self.retry_after_s)) if self.kind.waits else None

    def response(self) -> Response:
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return Response(to_json(self.body()), self.kind.status, headers, MEDIA_TYPE)


def invalid(faults: Sequence[Fault], *, ran: bool = False) -> Problem:
    """400 that names every fault."""
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return Problem("invalid_request", detail, ran=ran, faults=faults)


def of_pool_error(error: PoolError) -> Problem:
    """The pool's reasons carry their public code themselves."""
    return Problem(error.code, str(error), retryable=error.retryable, retry_after_s=error.retry_after_s)


class SandboxLost(Problem):
    """The sandbox cannot be used any more. `ran`: code may have started, and would start a second time."""

    def __init__(self, why: str, *, ran: bool) -> None:
        super().__init__("sandbox_lost", f"the sandbox was lost: {why}", retryable=not ran, ran=ran)


#: Agent codes that are the caller's doing: what was asked for met what lies in the sandbox. After any other (no worker,
#: an input or output error, a request that it did not understand) nothing that it says can be relied on.
_CALLERS_DOING = {
    "bad_path": "leaves the work directory or meets a symbolic link",
    "not_found": "does not exist in the sandbox",
    "not_permitted": "was shut by what ran in the sandbox before",
    "not_regular": "is in the way and is not what the path needs",
    "too_large": "is too large for the sandbox",
    "no_space": "does not fit into the sandbox's work directory",
}


def of_not_executed(error: NotExecuted, field: str) -> Problem:
    """Nothing ran. `field` is the part of the request that the agent's word can be about."""
    if error.code == "busy":
        return Problem("sandbox_busy", "an exec is still running in this sandbox")
    if error.code in _CALLERS_DOING:
        return invalid([Fault(field, _CALLERS_DOING[error.code])])
    return SandboxLost(str(error), ran=False)
