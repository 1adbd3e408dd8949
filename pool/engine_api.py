"""The engine's HTTP API on the event loop: small, since the pool makes five calls for every sandbox.

Calls in threads, or through the `docker` package, spend several times as much of the processor
(benchmarks/engine_calls.py); that package's reading of the environment is used here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import anyio
import httptools
from pydantic_core import to_json

from pool.engine import EngineError

#: The newest version of the API that this module was read against. An older engine is asked in its own.
_NEWEST = (1, 47)
_LOCAL = "unix://"
#: Where an engine listens of which nobody has said anything.
_SOCKET = "/var/run/docker.sock"
#: What Docker's own clients read.
_ENVIRONMENT = frozenset({"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"})
_READ_BYTES = 64 << 10
#: Between attempts to reach an engine whose queue of connections is full.
_BACKLOG_S = 0.01


class NotFound(EngineError):
    """The engine does not know what was named."""


class Conflict(EngineError):
    """What was asked for is so already, or under way: a second removal."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: `unix:///path` or `http://host:port`."""

    url: str

    @classmethod
    def of(cls, docker_host: str) -> Address:
        """`docker_host`, or where the environment says when it is empty. `EngineError` when it cannot be used."""
        if not docker_host and not _ENVIRONMENT & os.environ.keys():
            return cls(f"{_LOCAL}{_SOCKET}")
        # Only now: importing the package takes 0.1 s, during which a pool that starts boots nothing.
        import docker.errors
        from docker.utils import kwargs_from_env, parse_host

        environment = kwargs_from_env()
        if "tls" in environment:
            # A sandbox's stream is handed from the pool to the gateway as a descriptor; the state of TLS cannot be.
            raise EngineError("address", "an engine behind TLS cannot be used: unset DOCKER_TLS_VERIFY")
        try:
            url = parse_host(docker_host or environment.get("base_url"))
        except docker.errors.DockerException as error:
            raise EngineError("address", f"the engine's address: {error}") from error
        url = str(url).replace("http+unix://", _LOCAL).replace("tcp://", "http://")
        if not url.startswith((_LOCAL, "http://")):
            raise EngineError("address", f"{url}: only unix:// and tcp:// lead to an engine")
        return cls(url)

    @property
    def is_local(self) -> bool:
        return self.url.startswith(_LOCAL)


class EngineApi:
    """One engine, asked in a version of its API that both sides speak."""

    def __init__(self, address: Address, version: str) -> None:
        self.address = address
        self._prefix = f"/v{version}"

    def __repr__(self) -> str:
        return f"<EngineApi {self.address.url}{self._prefix}>"

    @classmethod
    async def connect(cls, address: Address, timeout_s: float) -> tuple[EngineApi, dict[str, Any]]:
        """The API, and what the engine says of its version. Raises `EngineError` when it does not answer."""
        with contextlib.closing(Connection(address, "", timeout_s)) as connection, _faults():
            facts = await connection.get("version")
            theirs = tuple(int(part) for part in facts["ApiVersion"].split("."))
            return cls(address, "{}.{}".format(*min(theirs, _NEWEST))), facts

    @contextlib.contextmanager
    def connection(self, timeout_s: float) -> Iterator[Connection]:
        """One kept connection for calls that follow one another; each may wait `timeout_s` for the engine."""
        with contextlib.closing(Connection(self.address, self._prefix, timeout_s)) as connection:
            yield connection


class Connection:
    """Calls one after the other. Connects with the first, and again after one that the connection did not survive.

    `close` at the end, or in the middle of a call.
    """

    def __init__(self, address: Address, prefix: str, timeout_s: float) -> None:
        self._address = address
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._answer: _Answer | None = None  # that is due

    async def get(self, *path: str, **query: str) -> Any:
        return await self._ask("GET", path, query)

    async def post(self, *path: str, body: object = None, **query: str) -> Any:
        """What the engine answered, decoded; None where it answers nothing."""
        return await self._ask("POST", path, query, body)

    async def delete(self, *path: str, **query: str) -> None:
        await self._ask("DELETE", path, query)

    async def finish(self) -> Any:
        """The answer to a call that was cancelled after it was sent; None if there is no such call."""
        if self._answer is None:
            return None
        with _faults(), anyio.fail_after(self._timeout_s):
            return await self._received()

    async def hijack(self, *path: str, **query: str) -> socket.socket:
        """A call after which the connection carries bytes of its own: its socket, the caller's now, not blocking."""
        self._drop_what_is_due()
        upgrade = b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n"
        with _faults(), anyio.fail_after(self._timeout_s):
            sock = await self._send("POST", path, query, upgrade)
            head = b""
            while not head.endswith(b"\r\n\r\n"):  # what follows the head is not ours to read: a look, then to its end
                seen = await _receive(sock, socket.MSG_PEEK)
                end = (head + seen).find(b"\r\n\r\n")
                head += sock.recv(len(seen) if end < 0 else end + 4 - len(head))
            status = int(head.split(b" ", 2)[1])
            if status not in (101, 200):
                raise _fault(status, await _receive(sock))
        self._socket = None  # not closed with the connection
        return sock

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._answer = None

    def _drop_what_is_due(self) -> None:
        """The answer to a call that was given up must not be taken for the next one's."""
        if self._answer is not None:
            self.close()

    async def _ask(self, method: str, path: tuple[str, ...], query: dict[str, str], body: object = None) -> Any:
        self._drop_what_is_due()
        with _faults(), anyio.fail_after(self._timeout_s):
            content = b"" if body is None else to_json(body)
            kind = b"" if body is None else b"Content-Type: application/json\r\n"
            try:
                await self._send(method, path, query, b"%bContent-Length: %d\r\n" % (kind, len(content)), content)
            except BaseException:  # half a call has no effect, and no answer
                self.close()
                raise
            self._answer = _Answer()
            return await self._received()

    async def _send(
        self, method: str, path: tuple[str, ...], query: dict[str, str], headers: bytes, content: bytes = b""
    ) -> socket.socket:
        sock = self._socket
        if sock is None:
            sock = self._socket = await _connected(self._address)
        target = f"{self._prefix}/{'/'.join(quote(part, safe='') for part in path)}"
        if query:
            target += f"?{urlencode(query)}"
        rest = memoryview(
            b"%b %b HTTP/1.1\r\nHost: engine\r\n%b\r\n%b" % (method.encode(), target.encode(), headers, content)
        )
        while rest:
            try:
                rest = rest[sock.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(sock)
        return sock

    async def _received(self) -> Any:
        answer, sock = self._answer, self._socket
        assert answer is not None and sock is not None
        try:
            while not answer.is_whole:
                answer.parser.feed_data(await _receive(sock))
        except (OSError, httptools.HttpParserError):
            self.close()
            raise
        self._answer = None
        if not answer.parser.should_keep_alive():
            self.close()
        content = b"".join(answer.content)
        status = answer.parser.get_status_code()
        if status >= 400:
            raise _fault(status, content)
        return json.loads(content) if content else None


class _Answer:
    """One answer while it comes in: the parser's callbacks."""

    def __init__(self) -> None:
        self.content: list[bytes] = []
        self.is_whole = False
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        self.content.append(body)

    def on_message_complete(self) -> None:
        self.is_whole = True


async def _receive(sock: socket.socket, flags: int = 0) -> bytes:
    while True:
        try:
            received = sock.recv(_READ_BYTES, flags)
        except BlockingIOError:
            await anyio.wait_readable(sock)
            continue
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "the engine ended the connection")
        return received


async def _connected(address: Address) -> socket.socket:
    if address.is_local:
        sock = socket.socket(socket.AF_UNIX)
        where: Any = address.url.removeprefix(_LOCAL)
    else:
        parts = urlsplit(address.url)
        found = await anyio.getaddrinfo(parts.hostname or "", parts.port, type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        sock = socket.socket(family)
    try:
        sock.setblocking(False)
        while (code := sock.connect_ex(where)) == errno.EAGAIN:  # noqa: ASYNC110 - nothing tells when there is room
            await anyio.sleep(_BACKLOG_S)
        if code == errno.EINPROGRESS:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _fault(status: int, content: bytes) -> EngineError:
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    if status == 404:
        return NotFound("not_found", message)
    if status == 409:
        return Conflict("conflict", message)
    if status == 503:  # what it needs for this, containerd above all, is not there
        return EngineError("unavailable", message)
    return EngineError("refused", f"{status} {message}")


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise EngineError("engine_timeout", "no answer in time") from error
    except OSError as error:
        raise EngineError("engine_down", f"{type(error).__name__}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, httptools.HttpParserError) as error:
        raise EngineError(
            "engine_down", f"what answers is no container engine: {type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Name the call in whatever fault it meets."""
    try:
        yield
    except EngineError as error:
        raise type(error)(error.reason, f"{what}: {error}") from error
