"""The Docker engine without Petri: the same containers, made, started, heard of and removed in plain calls."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any

from benchmarks.http_client import Answer, HttpClient
from petri import config
from pool.container_config import Owner, container_config
from pool.template import Template

#: Of no pool's block: what is made here is removed here.
_FIRST_UID = 6_100_000
_CALL_TIMEOUT_S = 120.0


class EngineFault(Exception):
    """The engine refused what it was asked for."""


class Engine:
    """Calls over one kept connection, by one thread."""

    def __init__(self) -> None:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._url = where.removeprefix("unix://").replace("tcp://", "http://")
        self._client = HttpClient(self._url, _CALL_TIMEOUT_S)

    def call(self, method: str, path: str, body: object = None) -> Answer:
        answer = self._client.request(method, path, body)
        if answer.status >= 400:
            raise EngineFault(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer

    def create(self, made: dict[str, object]) -> str:
        """Its id."""
        return str(self.call("POST", "/containers/create", made).json()["Id"])

    def start(self, container: str) -> None:
        self.call("POST", f"/containers/{container}/start")

    def remove(self, container: str) -> None:
        self.call("DELETE", f"/containers/{container}?force=1&v=1")

    def attach(self, container: str) -> socket.socket:
        """Its standard input and output; before the start, so that nothing is missed."""
        client = HttpClient(self._url, _CALL_TIMEOUT_S)
        sock = client.taken()
        query = "stdin=1&stdout=1&stream=1"
        sock.sendall(
            f"POST /containers/{container}/attach?{query} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # nothing follows it before the start
            head += sock.recv(1)
        return sock

    def boot(self, template: Template, uid: int) -> tuple[str, socket.socket]:
        """A container whose agent has said its first word, and the stream to it."""
        container = self.create(sandbox_config(template, uid))
        sock = self.attach(container)
        self.start(container)
        if not sock.recv(1):
            raise EngineFault(f"{template.name}: the agent ended before it said a word")
        return container, sock

    def exec_run(self, container: str, argv: list[str]) -> bytes:
        """What it wrote, to both streams, until it ended."""
        asked = {"Cmd": argv, "AttachStdout": True, "AttachStderr": True}
        exec_id = self.call("POST", f"/containers/{container}/exec", asked).json()["Id"]
        client = HttpClient(self._url, _CALL_TIMEOUT_S)
        sock = client.taken()
        body = b'{"Detach":false,"Tty":false}'
        sock.sendall(
            f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        with contextlib.closing(sock):
            said = b"".join(iter(lambda: sock.recv(65536), b""))
        return _demultiplexed(said.partition(b"\r\n\r\n")[2])

    def labelled(self, label: str) -> list[dict[str, Any]]:
        """Running containers with this label, as the engine inspects them."""
        found = self.call(
            "GET", f"/containers/json?filters=%7B%22label%22%3A%5B%22{label.replace('=', '%3D')}%22%5D%7D"
        )
        return [self.call("GET", f"/containers/{one['Id']}/json").json() for one in found.json()]

    def version(self) -> str:
        return str(self.call("GET", "/version").json()["Version"])


def _demultiplexed(said: bytes) -> bytes:
    """Blocks with a head of eight bytes each, whose last four are the length."""
    text = b""
    while said:
        length = int.from_bytes(said[4:8], "big")
        text, said = text + said[8 : 8 + length], said[8 + length :]
    return text


def template(name: str) -> Template:
    """As Petri ships it."""
    return Template.model_validate({"name": name, **config.DEFAULT_TEMPLATES[name]})


def sandbox_config(template: Template, uid: int) -> dict[str, object]:
    """What a pool would ask of the engine for one sandbox, under labels that no pool goes by."""
    made = container_config(uuid.uuid4().hex, template, template.image, uid, Owner("", "", "", ""))
    made["Labels"] = {"petri.bench": "bare"}
    return made


@contextlib.contextmanager
def running(language: str) -> Iterator[str]:
    """A container of the language's image that waits: for `docker exec`."""
    engine = Engine()
    container = engine.create(
        {
            "Image": f"petri/{language}",
            # Ends when it is asked to, which a first process does not by itself.
            "Entrypoint": ["bash", "-c", "trap 'exit 0' TERM; sleep infinity & wait"],
            "Labels": {"petri.bench": "peer"},
            "NetworkDisabled": True,
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none"}},
        }
    )
    try:
        engine.start(container)
        yield container
    finally:
        Engine().remove(container)


def uids() -> Iterator[int]:
    return itertools.count(_FIRST_UID)
