"""uvicorn's HTTP/1.1 connection, with limits on what a client may send, how slowly, and how many there are.

uvicorn waits for ever for a head, a body, or a client that takes its answer, and bounds no head: nothing above it can,
for an application is only called once the head is whole. The rules, each with its answer, are in docs/http-edge.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway import refusal
from gateway.connections import Stage
from gateway.context import Gateway
from gateway.headers import request_id
from gateway.middleware import ANSWERED, REQUEST_ID
from gateway.problems import Problem

#: Bytes of a request's target. The longest path in a work directory (PATH_MAX) is 12 KiB when every byte is escaped.
MAX_TARGET_BYTES = 16 << 10
#: Headers of one request. Browsers send about 20, proxies add 10; each costs more in memory than its bytes.
MAX_HEADERS = 100
#: Requests that may wait behind the one being answered on the same connection. Clients that send ahead at all send few;
#: without a limit one read of 256 KiB makes nine thousand requests of some kilobytes each.
MAX_PIPELINED = 16
#: What may come, beside content, before the next byte of a chunked body: chunk sizes, their extensions, trailers.
MAX_CHUNK_OVERHEAD_BYTES = 64 << 10
#: A connection whose request was answered before it was whole is read for so long, and what comes is thrown away: were
#: it closed at once, the client's kernel would throw the answer away (RFC 9112, 9.6).
LINGER_S = 5.0
#: Once an answer does not fit into the socket's buffer, its reader must take so much of it in each such period. What is
#: not taken stays in our memory, up to some MiB an answer.
TAKE_WITHIN_S = 30.0
TAKE_BYTES = 64 << 10


#: As names of this module, because an enum's members take three times as long to look up.
_CLOSING, _WAITING, _HEAD, _IDLE, _BODY, _SERVED = Stage

#: Headers that say how the rest is to be read.
_FRAMING = frozenset({b"host", b"expect", b"transfer-encoding"})


class _Refused(Exception):
    """Ends the parser's work from within its callbacks; `_fault` says why."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. The gateway that uvicorn hands to every request has its limits."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        gateway = cast(Gateway, app_state["gateway"])
        self._settings = gateway.settings
        self._metrics = gateway.metrics
        self._others = gateway.connections
        self._head_limit = gateway.settings.head_limit_bytes
        self._stage = _WAITING  # as the others know it
        self._phase = _WAITING  # of what comes in; what goes out may still be the answer to an earlier request
        self._fault: Problem | None = None
        self._answering: RequestResponseCycle | None = None
        self._timer: asyncio.TimerHandle | None = None  # until the head, the body, or the end must be there
        self._taking: asyncio.TimerHandle | None = None
        self._lingers = False
        self._last = False  # the server stops: no request after this one
        self._hosts = 0
        self._head_at_most = 0  # bytes, of the head that is coming in
        self._head_at_least = 0
        self._contents = 0  # pieces of content so far
        self._overhead = 0  # bytes since the last one
        self._may_stay = True  # the request being read lets its connection stay open

    # -- the connection -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._for_cycles = cast(asyncio.Transport, _CycleTransport(self))
        if self._others.admit(self):
            self._expect(self._settings.head_timeout_s)
        else:
            self._stage = _CLOSING
            self._answer_instead(_too_many())
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        self._others.closed(self, self._stage)
        self._expect_nothing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        if self._answering is not None and self._answering is not self.cycle:
            self._answering.disconnected = True  # uvicorn tells the newest of several requests only
            self._answering.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._last = True
        if self._lingers:
            self.transport.close()
        else:
            super().shutdown()

    def make_room(self) -> None:
        """Another connection takes this one's place: nothing is owed to it."""
        self._expect_nothing()
        if self._lingers or (self._answering is not None and self._answering.response_started):
            self.transport.abort()
            return
        if self._phase in (_HEAD, _BODY):
            self._answer_instead(_too_many())
        self._phase = _CLOSING
        self.transport.close()

    # -- what comes in --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._phase is _CLOSING:
            return
        self._unset_keepalive_if_required()
        scope, contents = self.scope, self._contents
        self._head_at_most += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(self._fault or Problem("invalid_http", f"this is no HTTP/1.1 request: {error}"))
            return
        phase = self._phase
        if phase is _HEAD:
            self._head_at_least += len(data) if scope is self.scope else 0  # else it began somewhere in `data`
            if self._head_at_least > self._head_limit:
                self._refuse(self._head_too_large())
                return
        elif phase is _BODY:
            self._overhead = 0 if contents != self._contents else self._overhead + len(data)
            if self._overhead > MAX_CHUNK_OVERHEAD_BYTES:
                detail = f"more than {MAX_CHUNK_OVERHEAD_BYTES} bytes of chunk extensions or trailers"
                self._refuse(Problem("invalid_http", detail))
                return
        self._tell_others()
        if self._timer is None and phase is not _SERVED:
            settings = self._settings
            self._expect(settings.body_timeout_s if phase is _BODY else settings.head_timeout_s)

    def _feed(self, data: bytes | memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # Nothing to upgrade to is offered, so the wish is ignored and what follows is the next request
                # (RFC 9110, 7.8).
                data = memoryview(data)[upgrade.args[0] :]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _HEAD
        self._hosts = 0
        self._head_at_least = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            self._fail("uri_too_long", f"the request's target is longer than {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not _HEAD:
            return  # a trailer: must not be taken for one of the headers that the request was judged by
        if len(self.headers) >= MAX_HEADERS:
            self._fail("headers_too_large", f"the request has more than {MAX_HEADERS} headers")
        name = name.lower()
        if name in _FRAMING:
            if name == b"host":
                self._hosts += 1
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            elif value.lower() != b"chunked":
                self._fail("invalid_http", "the only Transfer-Encoding there is here is chunked")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        self._check_head()
        super().on_headers_complete()
        cycle = self.cycle
        cycle.transport = self._for_cycles
        # An answer that is given before the request is whole is the connection's last; see `on_message_complete`.
        self._may_stay, cycle.keep_alive = cycle.keep_alive, False
        self._phase = _BODY
        self._overhead = 0
        if self.pipeline:
            self.flow.resume_reading()  # uvicorn pauses; but then a client that leaves would go unnoticed

    def _check_head(self) -> None:
        if self._head_at_most > self._head_limit:
            line = len(self.parser.get_method()) + len(self.url) + 14  # spaces, version, line ends
            size = line + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._head_limit:
                self._fault = self._head_too_large()
                raise _Refused
        version = self.parser.get_http_version()
        if version == "1.1":
            if self._hosts != 1:
                self._fail("invalid_http", f"the request has {self._hosts} Host headers; it must have one")
        elif version == "1.0":
            self.expect_100_continue = False  # 1.0 knows no interim answers
            if self._hosts > 1 or any(name == b"transfer-encoding" for name, _ in self.headers):
                self._fail("invalid_http", "HTTP/1.0 has no Transfer-Encoding, and one Host at most")
        else:
            self._fail("invalid_http", f"HTTP/{version} is not spoken here")
        if self.parser.should_upgrade():
            # The parser takes everything behind such a head for the new protocol's. To go on in HTTP/1.1 there is right
            # only where there is no body, which would be taken for the next request.
            if self.parser.get_method() == b"CONNECT":
                self._fail("invalid_http", "CONNECT is for proxies")
            if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
                self._fail("invalid_http", "a request with a body cannot ask for an Upgrade here")
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fail("invalid_http", f"more than {MAX_PIPELINED} requests were sent ahead")

    def on_body(self, body: bytes) -> None:
        self._contents += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _SERVED
        self._expect_nothing()
        self._head_at_most = 0
        cycle = self.cycle
        if not cycle.response_started:
            cycle.keep_alive = self._may_stay and not self._last

    def _fail(self, code: str, detail: str) -> None:
        self._fault = Problem(code, detail)
        raise _Refused

    def _head_too_large(self) -> Problem:
        limit = self._head_limit
        return Problem("headers_too_large", f"the request's head is larger than {limit} bytes")

    # -- what goes out --------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._answering = None
        if self._lingers:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()  # which may start to answer the next
        if self._phase is _SERVED and self._answering is None:
            self._phase = _IDLE
        self._tell_others()

    def _end(self) -> None:
        """The connection's last answer is written."""
        if self._phase in (_SERVED, _IDLE) or self.transport.is_closing():
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Say that nothing more comes from here, and be deaf for a while."""
        self._phase = _CLOSING
        self._lingers = True
        self._tell_others()
        self._expect_nothing()
        self.flow.resume_reading()
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _refuse(self, problem: Problem) -> None:
        """What comes in is the client's fault: tell it, if it is its turn, and listen no more."""
        self._expect_nothing()
        at_fault = self.cycle if self._phase is _BODY else None  # else a head, which has none
        self._phase = _CLOSING
        if self._answering is None or self._answering is at_fault:
            if self._answering is not None and self._answering.response_started:
                self.transport.abort()  # half an answer is out already
                return
            self._answer_instead(problem)
            self._linger()
            return
        # Others were asked before. They get their answers, the last of them ends the connection.
        if at_fault is not None:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._answering
        last.keep_alive = False
        self.flow.resume_reading()  # to notice a client that leaves
        self._tell_others()

    def _answer_instead(self, problem: Problem) -> None:
        """Write an answer in the application's place. It finds its client gone."""
        self._metrics.refused(problem.code)
        id_of_request, with_body = request_id(self.headers or ()), True
        if self._answering is not None:
            scope = cast(dict[str, Any], self._answering.scope)
            id_of_request = scope.get(REQUEST_ID, id_of_request)
            with_body = scope["method"] != "HEAD"
            scope[ANSWERED] = str(problem.kind.status)
            self._answering.disconnected = True
            self._answering.message_event.set()
        dated = self.server_state.default_headers
        self.transport.write(refusal.encode(problem, id_of_request, dated, with_body=with_body))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _watch_reader(self) -> None:
        self._taking = self.loop.call_later(TAKE_WITHIN_S, self._end_unless_taken, self._untaken())

    def _end_unless_taken(self, before: int) -> None:
        if before - self._untaken() < TAKE_BYTES:
            self.transport.abort()
        else:
            self._watch_reader()

    def _untaken(self) -> int:
        """Bytes here and in the kernel. That has room for megabytes, and asks for more only when a third of it is free,
        so that what lies here alone does not show a client's slow progress."""
        in_kernel = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return self.transport.get_write_buffer_size() + int.from_bytes(in_kernel, sys.byteorder)

    # -- time, and the others -------------------------------------------------------------------------------------

    def _expect(self, within_s: float) -> None:
        self._timer = self.loop.call_later(within_s, self._too_slow)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        settings = self._settings
        if self._phase is _BODY:
            if self.flow.read_paused:  # it is we who are slow
                self._expect(settings.body_timeout_s)
            else:
                detail = f"the request's body was not whole within {settings.body_timeout_s:g} s"
                self._refuse(Problem("request_timeout", detail))
        elif self._phase is _HEAD:
            detail = f"the request's head was not whole within {settings.head_timeout_s:g} s"
            self._refuse(Problem("request_timeout", detail))
        else:  # not even the beginning of a request
            self.transport.close()

    def _tell_others(self) -> None:
        owed = self._answering is not None and not (self._phase is _BODY and self._answering is self.cycle)
        now = _SERVED if owed and not self._lingers else self._phase
        if now is not self._stage:
            self._others.move(self, self._stage, now)
            self._stage = now


class _CycleTransport:
    """The transport as one request sees it: closing is the protocol's to do."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol._end()


def _too_many() -> Problem:
    return Problem("too_many_connections", "as many connections are being served as may be")
