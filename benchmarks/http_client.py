"""An HTTP/1.1 client as small as can be, so that what is measured is the server.

One kept connection, one write for head and body, one answer with a Content-Length.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """Empty where there is none."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode()
        return ""


class Wrong(Exception):
    """The answer is not the one that was to come."""


class HttpClient:
    """For one thread. `url` is `http://host:port`, or the path of a unix socket."""

    def __init__(self, url: str, timeout_s: float = 120.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, body: object = None) -> Answer:
        return self.send(encoded(method, path, body))

    def send(self, request: bytes) -> Answer:
        sock = self.connected()
        try:
            sock.sendall(request)
            return self._receive(sock)
        except BaseException:
            self.close()
            raise

    def connected(self) -> socket.socket:
        """The connection, made anew where the server has closed it meanwhile."""
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            self.close()
        if self._socket is None:
            self._socket = self._dial()
        return self._socket

    def taken(self) -> socket.socket:
        """The connection, which is the caller's from now on."""
        sock, self._socket = self.connected(), None
        return sock

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _dial(self) -> socket.socket:
        if not self._url.startswith("http://"):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(sock.close)
                sock.settimeout(self._timeout_s)
                sock.connect(self._url)
                on_failure.pop_all()
            return sock
        parts = urlsplit(self._url)
        sock = socket.create_connection((parts.hostname, parts.port or 80), self._timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _receive(self, sock: socket.socket) -> Answer:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += _some(sock)
        head = bytes(received[:end])
        status = int(head.split(b" ", 2)[1])
        body = received[end + 4 :]
        answer = Answer(status, head, b"")
        if answer.header("transfer-encoding").lower() == "chunked":
            return Answer(status, head, self._chunks(sock, body))
        length = int(answer.header("content-length") or 0)
        while len(body) < length:
            body += _some(sock)
        if answer.header("connection").lower() == "close":
            self.close()
        return Answer(status, head, bytes(body))

    def _chunks(self, sock: socket.socket, received: bytearray) -> bytes:
        """The engine answers long lists so."""
        whole = bytearray()
        while True:
            while (end := received.find(b"\r\n")) < 0:
                received += _some(sock)
            size = int(received[:end], 16)
            while len(received) < end + 2 + size + 2:
                received += _some(sock)
            whole += received[end + 2 : end + 2 + size]
            del received[: end + 2 + size + 2]
            if size == 0:
                return bytes(whole)


def encoded(method: str, path: str, body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
    if body is not None or method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


def _some(sock: socket.socket) -> bytes:
    received = sock.recv(65536)
    if not received:
        raise ConnectionError("the server closed the connection within an answer")
    return received
