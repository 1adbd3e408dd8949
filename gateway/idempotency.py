"""Answer a request that was sent again under the same `Idempotency-Key` as it was answered before.

A key belongs to one caller and one path, and stands for one body, byte by byte. Who comes while the first request is
under way waits for its answer. Where nothing ran, those who waited are told why, too, and the key is free for who comes
later; where code may have run and there is no answer (the client left) the key says so, rather than run it again in
silence.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from starlette.requests import Request
from starlette.responses import Response

from gateway.attendance import Attendance
from gateway.bodies import Bodies
from gateway.caller import caller_of
from gateway.metrics import Metrics
from gateway.problems import Fault, Problem, invalid, of_pool_error
from pool.errors import PoolError

HEADER = "Idempotency-Key"
#: On an answer that was given before.
REPLAYED = "Idempotency-Replayed"

#: How long an answer is kept, from when it was given. Contract: what clients with retries need, and little more.
_KEPT_S = 600.0
#: POLICY: answers that are kept, in number and in bytes together; beyond either the oldest is forgotten early, and its
#: key free. An answer has a kilobyte as a rule and some mebibytes at most.
_MOST = 10_000
_MOST_BYTES = 64 << 20
#: What one costs besides its body.
_OVERHEAD_BYTES = 1024

_SANE_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_Name = tuple[str, str, str]  # caller, path, key


@dataclass(slots=True)
class Begun:
    """Set as soon as something may have been carried out."""

    is_set: bool = False

    def set(self) -> None:
        self.is_set = True


@dataclass(slots=True, eq=False)
class _Entry:
    digest: bytes  # of the body
    over: anyio.Event = field(default_factory=anyio.Event)
    begun: Begun = field(default_factory=Begun)
    answer: Response | None = None
    failure: Response | None = None  # of one that did not run: for those who wait; the key is free
    until: float = 0.0  # once it is over

    @property
    def size(self) -> int:
        return _OVERHEAD_BYTES + (len(self.answer.body) if self.answer is not None else 0)


CarryOut = Callable[[Begun], Awaitable[Response]]


class Idempotency:
    """The answers of one gateway's creating calls, by key."""

    def __init__(
        self, attendance: Attendance, bodies: Bodies, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._attendance = attendance
        self._bodies = bodies
        self._metrics = metrics
        self._clock = clock
        self._under_way: dict[_Name, _Entry] = {}
        self._over: OrderedDict[_Name, _Entry] = OrderedDict()  # the oldest first
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Idempotency {len(self._under_way)} under way, {len(self._over)} kept in {self._bytes} bytes>"

    async def once(self, request: Request, body: bytes, carry_out: CarryOut) -> Response:
        """The answer of `carry_out`, which tells when it has begun, or what the first request with this key got."""
        key = _key_of(request)
        if key is None:
            return await carry_out(Begun())
        caller = caller_of(request.scope)
        name = (caller, request.url.path, key)
        digest = hashlib.sha256(body).digest()
        while (entry := self._find(name)) is not None:
            if entry.digest != digest:
                self._metrics.idempotent("reused")
                raise Problem("idempotency_key_reused", f"{HEADER} {key!r} was used with another body")
            if entry.answer is not None:
                self._metrics.idempotent("replayed")
                return _again(entry.answer)
            if entry.over.is_set():
                self._metrics.idempotent("unanswered")
                why = f"the first request with {HEADER} {key!r} ended without an answer; its code may have run"
                raise Problem("idempotency_key_unanswered", why)
            with self._bodies.hold(caller, len(body)):
                async with self._attendance.attend(request.receive):
                    await entry.over.wait()
            if entry.failure is not None:
                self._metrics.idempotent("failed")
                return _again(entry.failure)
        self._metrics.idempotent("first")
        return await self._first(name, _Entry(digest), carry_out)

    async def _first(self, name: _Name, entry: _Entry, carry_out: CarryOut) -> Response:
        self._under_way[name] = entry
        try:
            entry.answer = await carry_out(entry.begun)
            return entry.answer
        except PoolError as error:
            if not entry.begun.is_set:
                entry.failure = of_pool_error(error).response()
            raise
        except Problem as problem:
            if not problem.ran:
                entry.begun = Begun()
                entry.failure = problem.response()
            elif entry.begun.is_set:
                entry.answer = problem.response()
            raise
        finally:  # cancelled, too: its client has left, or the server stops
            del self._under_way[name]
            if entry.answer is not None or entry.begun.is_set:
                self._keep(name, entry)
            entry.over.set()

    def _find(self, name: _Name) -> _Entry | None:
        self._forget()
        return self._under_way.get(name) or self._over.get(name)

    def _keep(self, name: _Name, entry: _Entry) -> None:
        entry.until = self._clock() + _KEPT_S
        self._over[name] = entry
        self._bytes += entry.size
        self._forget()

    def _forget(self) -> None:
        now = self._clock()
        while self._over:
            oldest = next(iter(self._over.values()))
            if now < oldest.until and len(self._over) <= _MOST and self._bytes <= _MOST_BYTES:
                return
            self._over.popitem(last=False)
            self._bytes -= oldest.size


def refuse_key(request: Request) -> None:
    """For calls that would not keep to it."""
    if HEADER in request.headers:
        raise invalid([Fault(HEADER, "is not supported here: send what was not executed again as a batch of its own")])


def _key_of(request: Request) -> str | None:
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not _SANE_KEY.fullmatch(keys[0]):
        raise invalid([Fault(HEADER, "must be one header of 1 to 255 visible ASCII characters")])
    return keys[0]


def _again(answer: Response) -> Response:
    """Fresh, because what goes out is made of its headers; an answer's own are only lent to it."""
    response = Response(answer.body, answer.status_code)
    response.raw_headers = [*answer.raw_headers, (REPLAYED.lower().encode(), b"true")]
    return response
