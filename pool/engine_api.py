"""The engine's HTTP API, in blocking calls, for threads: small, since the pool makes six of them for every sandbox.

The `docker` package spends several times as much of the processor on a call (benchmarks/engine_calls.py); its reading
of the environment is used here, and all of it where a call is rare.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import docker.errors
from docker.utils import kwargs_from_env, parse_host

from pool.engine import EngineError

#: The newest version of the API that this module was read against. An older engine is asked in its own.
_NEWEST = (1, 47)
_LOCAL = "unix://"


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
    def connect(cls, address: Address, timeout_s: float) -> tuple[EngineApi, dict[str, Any]]:
        """The API, and what the engine says of its version. Raises `EngineError` when it does not answer."""
        with contextlib.closing(_dial(address, timeout_s)) as dialled, _faults():
            facts = Connection(dialled, prefix="").get("version")
            theirs = tuple(int(part) for part in facts["ApiVersion"].split("."))
            return cls(address, "{}.{}".format(*min(theirs, _NEWEST))), facts

    @contextlib.contextmanager
    def connection(self, timeout_s: float) -> Iterator[Connection]:
        """One kept connection for calls that follow one another; each may wait `timeout_s` for the engine."""
        with contextlib.closing(_dial(self.address, timeout_s)) as dialled:
            yield Connection(dialled, self._prefix)


class Connection:
    """Calls over one connection, by one thread."""

    def __init__(self, dialled: http.client.HTTPConnection, prefix: str) -> None:
        self._http = dialled
        self._prefix = prefix

    def get(self, *path: str, **query: str) -> Any:
        return self._answer("GET", self._path(path, query))

    def post(self, *path: str, body: object = None, **query: str) -> Any:
        """What the engine answered, decoded; None where it answers nothing."""
        return self._answer("POST", self._path(path, query), body)

    def delete(self, *path: str, **query: str) -> None:
        self._answer("DELETE", self._path(path, query))

    def hijack(self, *path: str, **query: str) -> socket.socket:
        """A call after which the connection carries bytes of its own: the socket is the caller's, and blocks."""
        with _faults():
            self._http.request("POST", self._path(path, query), headers={"Connection": "Upgrade", "Upgrade": "tcp"})
            sock = self._http.sock
            head = b""
            while not head.endswith(b"\r\n\r\n"):  # what follows the head is not ours to read: a look, then to its end
                seen = sock.recv(4096, socket.MSG_PEEK)
                if not seen:
                    raise http.client.RemoteDisconnected("no answer to an attach")
                end = (head + seen).find(b"\r\n\r\n")
                head += sock.recv(len(seen) if end < 0 else end + 4 - len(head))
            status = int(head.split(b" ", 2)[1])
            if status not in (101, 200):
                raise _fault(status, sock.recv(4096))
            self._http.sock = None  # not closed with the connection
            sock.settimeout(None)
            return sock

    def _path(self, path: tuple[str, ...], query: dict[str, str]) -> str:
        joined = "/".join(quote(part, safe="") for part in path)
        return f"{self._prefix}/{joined}" + (f"?{urlencode(query)}" if query else "")

    def _answer(self, method: str, path: str, body: object = None) -> Any:
        with _faults():
            encoded = None if body is None else json.dumps(body).encode()
            headers = {} if encoded is None else {"Content-Type": "application/json"}
            self._http.request(method, path, encoded, headers)
            answer = self._http.getresponse()
            content = answer.read()
            if answer.status >= 400:
                raise _fault(answer.status, content)
            return json.loads(content) if content else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _dial(address: Address, timeout_s: float) -> http.client.HTTPConnection:
    """Connects with the first call."""
    if address.is_local:
        return _UnixConnection(address.url.removeprefix(_LOCAL), timeout_s)
    parts = urlsplit(address.url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)


def _fault(status: int, content: bytes) -> EngineError:
    try:
        message = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    if status == 404:
        return NotFound("not_found", message)
    if status == 409:
        return Conflict("conflict", message)
    return EngineError("refused", f"{status} {message}")


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise EngineError("engine_timeout", "no answer in time") from error
    except (OSError, http.client.HTTPException) as error:
        raise EngineError("engine_down", f"{type(error).__name__}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
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
