"""Serve HTTP: bind, give root up, and only then read the first byte; on SIGTERM let runs finish first."""

from __future__ import annotations

import asyncio
import gc
import importlib
import ipaddress
import logging
import resource
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.app import create_app
from gateway.attendance import Attendance
from gateway.http_protocol import HttpProtocol
from gateway.privileges import StillPrivileged, drop_root
from gateway.settings import LOOPBACK_ONLY, GatewaySettings
from pool.template import Template

log = logging.getLogger(__name__)

#: Idle connections are kept this long. Longer than clients and proxies keep theirs (httpx 5 s, nginx 60 s), so that it
#: is they who close and no request meets a connection that is just going away.
_KEEP_ALIVE_S = 75
#: For answers to be written after the last run has ended or was cut off.
_LAST_ANSWERS_S = 5
#: Connections that the kernel keeps until they are accepted: a burst of clients is not refused.
_BACKLOG = 2048
#: Between looks whether to end: the Date of answers is as old at most. And when ending, while runs may still go on.
_LOOK_S = 1.0
_LOOK_AT_THE_END_S = 0.1

#: Descriptors for all but clients: a channel for each leased sandbox, and some for the rest.
_OTHER_DESCRIPTORS = 512

#: Imported by a library on first use only, when root is given up and the files may be out of reach. The test that asks
#: every route and watches for imports and opened files says what belongs here.
_LATE_IMPORTS = ("anyio._backends._asyncio",)


class Refused(Exception):
    """The settings ask for what the gateway must not do, or cannot; `status` is the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def serve(settings: GatewaySettings, templates: Iterable[Template]) -> int:
    """Serve until SIGINT or SIGTERM; a second one does not wait for runs. Returns the exit status."""
    try:
        sockets = _bind(settings.host, settings.port)
    except Refused as refused:
        print(f"petri gateway: {refused}", file=sys.stderr)
        return refused.status
    settings = _within_descriptors(settings)
    attendance = Attendance(settings.drain_s)
    config = uvicorn_config(create_app(settings, templates, attendance=attendance))
    config.load()
    loop_factory = config.get_loop_factory()
    for module in _LATE_IMPORTS:
        importlib.import_module(module)
    try:
        drop_root(settings.uid)
    except StillPrivileged as error:
        print(f"petri gateway: refuses to serve as root: {error}", file=sys.stderr)
        return 1
    for sock in sockets:
        log.info("listening on http://%s:%d", _in_url(sock.getsockname()[0]), sock.getsockname()[1])
    # What there is now stays. The collector need not walk through it, which took 20 ms in the middle of some request.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_Server(config, attendance, settings.drain_s).serve(sockets=sockets))
    return 0


def _within_descriptors(settings: GatewaySettings) -> GatewaySettings:
    """Take as many descriptors as the connections need, or else allow fewer connections: each costs one.

    A process without a descriptor left accepts nobody, good clients included.
    """
    needed = settings.max_connections + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return settings
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return settings
    connections = max(1, allowed - _OTHER_DESCRIPTORS)
    log.warning(
        "at most %d connections, not %d: this process may have %d descriptors (ulimit -Hn)",
        connections,
        settings.max_connections,
        allowed,
    )
    return settings.model_copy(update={"max_connections": connections})


def uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the application. Reads no environment, believes no proxy, writes no line for each request."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        server_header=False,
        workers=1,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )


class _Server(uvicorn.Server):
    """Goes on listening while it drains, so that callers are told to come back rather than refused a connection."""

    def __init__(self, config: uvicorn.Config, attendance: Attendance, drain_s: float) -> None:
        super().__init__(config)
        self._attendance = attendance
        self._drain_s = drain_s
        self._stop_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = asyncio.Event()  # to stop, since it was looked at last

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_at is None:
            log.info("stopping: %r, at most %g s", self._attendance, self._drain_s)
            self._stop_at = now + self._drain_s
            self._attendance.drain()
        else:
            self._stop_at = now
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.set)

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second: nothing to do between two requests should cost nothing."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # 0: with a new Date for the answers
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._stop_at is None else _LOOK_AT_THE_END_S):
                    await self._asked.wait()
            self._asked.clear()

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and (not self._attendance.running or time.monotonic() >= self._stop_at):
            self._attendance.cut_off()
            self.should_exit = True
        return await super().on_tick(counter)


def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`, all of them loopback: nobody has to show a key yet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Refused(f"host {host!r}: {error.strerror}", 2) from error
    addresses = dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
    for _, address in addresses:
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            raise Refused(f"host {host!r} is {address}: {LOOPBACK_ONLY}", 2)
    sockets: list[socket.socket] = []
    for family, address in addresses:
        try:
            sock = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            for bound in sockets:
                bound.close()
            raise Refused(f"cannot listen on {address} port {port}: {error.strerror}", 1) from error
        port = sock.getsockname()[1]  # any free port for the first address is the port for the others
        sockets.append(sock)
    return sockets


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
