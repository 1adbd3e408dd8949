"""A client that sends exactly the bytes it is told to, in the pieces it is told to."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import anyio.abc


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self, status: int, code: str) -> dict[str, object]:
        """The body, which must be a whole problem."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-content-type-options"] == "nosniff"
        assert self.headers["x-request-id"]
        problem: dict[str, object] = json.loads(self.body)
        assert (problem["status"], problem["code"]) == (status, code)
        assert ("retry-after" in self.headers) == (status in (429, 503))
        return problem


@dataclass
class RawClient:
    """Everything it waits for comes within ten seconds, or the test fails."""

    stream: anyio.abc.SocketStream
    received: bytearray = field(default_factory=bytearray)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.stream.send(piece)

    async def send_until_cut_off(self, endless: AsyncIterator[bytes]) -> int:
        """Pieces until the other side does not take more; how many bytes it took."""
        sent = 0
        with suppress(anyio.BrokenResourceError):
            async for piece in endless:
                await self.stream.send(piece)
                sent += len(piece)
        return sent

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next one, whole."""
        head = (await self._until(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        assert line.startswith("HTTP/1.1 "), line
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in fields)}
        assert len(headers) == len(fields), fields
        length = 0 if to_head else int(headers.get("content-length", 0))
        while len(self.received) < length:
            assert await self._more(), (head, self.received)
        body = bytes(self.received[:length])
        del self.received[:length]
        return Answer(int(line.split()[1]), headers, body)

    async def only_answer(self) -> Answer:
        """The next one, after which the connection must end."""
        answer = await self.answer()
        assert answer.headers["connection"] == "close"
        await self.end()
        return answer

    async def end(self) -> None:
        """Until the other side has closed, with nothing more to say."""
        assert not self.received, self.received
        with suppress(anyio.BrokenResourceError):
            assert not await self._more(), self.received

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            assert await self._more(), self.received
        end = self.received.index(mark) + len(mark)
        found = bytes(self.received[:end])
        del self.received[:end]
        return found

    async def _more(self) -> bool:
        with anyio.fail_after(10):
            try:
                self.received += await self.stream.receive()
            except anyio.EndOfStream:
                return False
        return True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield RawClient(stream)


def request(method: str = "GET", path: str = "/healthz", body: bytes | None = None, **headers: str) -> bytes:
    """As a client in good health writes one. `Content_Type="x"` is a header of that name; an empty Host is left out."""
    fields = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def run(code: str, **members: object) -> bytes:
    body = json.dumps({"language": "python", "code": code, **members}).encode()
    return request("POST", "/v1/run", body, Content_Type="application/json")
