"""A proxy before an engine's socket that does to chosen calls what a bad day does: late, never, refused, cut off.

It speaks as much HTTP/1.1 as the pool and the engine do, and passes an attached stream through as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Calls by name, as rules use it: method and path, without the version.
_CALLS = {
    "ping": ("GET", "/_ping"),
    "version": ("GET", "/version"),
    "image": ("GET", "/images/.+/json"),
    "list": ("GET", "/containers/json"),
    "inspect": ("GET", "/containers/[^/]+/json"),
    "top": ("GET", "/containers/[^/]+/top"),
    "create": ("POST", "/containers/create"),
    "attach": ("POST", "/containers/[^/]+/attach"),
    "start": ("POST", "/containers/[^/]+/start"),
    "remove": ("DELETE", "/containers/[^/]+"),
}
_PATTERNS = [(name, method, re.compile(rf"(/v[\d.]+)?{path}")) for name, (method, path) in _CALLS.items()]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a call. Of `status`, `drop` and `hang` at most one; none of them: it is only late.

    `after`: the engine has carried the call out, and what is lost is its answer.
    """

    delay_s: float = 0.0
    status: int | None = None
    drop: bool = False
    hang: bool = False
    after: bool = False
    times: int | None = None  # None: until the rule is taken away
    path: str = ""  # only of calls with this in their path

    @property
    def answers(self) -> bool:
        """Whether the real answer, or any, is kept from the client."""
        return self.status is not None or self.drop or self.hang


class EngineProxy:
    """Use within `running()`. `faults` may be changed at any time, from any thread."""

    def __init__(self, path: Path, engine: Path) -> None:
        self.path = path
        self.faults: dict[str, Fault] = {}
        self.calls: Counter[str] = Counter()
        self._engine = engine
        self.used: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()  # the loop itself keeps no hold of its tasks

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    @classmethod
    @contextlib.contextmanager
    def running(cls, path: Path, engine: Path) -> Iterator[EngineProxy]:
        """In a thread of its own."""
        proxy = cls(path, engine)
        started, loop = threading.Event(), asyncio.new_event_loop()

        async def serve() -> None:
            server = await asyncio.start_unix_server(proxy._serve, str(path), limit=1 << 20)
            started.set()
            await stopping.wait()
            server.close()

        stopping = asyncio.Event()
        thread = threading.Thread(target=lambda: _run(loop, serve()))
        thread.start()
        assert started.wait(10)
        try:
            yield proxy
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(10)

    @contextlib.contextmanager
    def doing(self, **faults: Fault) -> Iterator[None]:
        """`faults` by call, until the end of the block."""
        for call in faults:
            assert call in _CALLS
            self.used[call] = 0
        self.faults = faults
        try:
            yield
        finally:
            self.faults = {}

    def _fault_for(self, call: str, target: str) -> Fault:
        fault = self.faults.get(call)
        if fault is None or fault.path not in target or (fault.times is not None and self.used[call] >= fault.times):
            return Fault()
        self.used[call] += 1
        return fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            upstream = await asyncio.open_unix_connection(str(self._engine))
        except OSError:
            writer.transport.abort()
            return
        try:
            while await self._one_call(reader, writer, *upstream):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two sides has gone, and the other is told by the end of its connection
        finally:
            for one in (writer, upstream[1]):
                one.transport.abort()

    async def _one_call(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        engine_reader: asyncio.StreamReader,
        engine_writer: asyncio.StreamWriter,
    ) -> bool:
        """False when the connection is not to be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        method, target, _ = head.decode().split(" ", 2)
        call = _name(method, target)
        self.calls[call] += 1
        fault = self._fault_for(call, target)
        if not fault.after:
            await asyncio.sleep(fault.delay_s)
            if fault.answers:
                return await self._spoil(fault, reader, writer)
        engine_writer.write(head + body)
        answer = await _answer(engine_reader, engine_writer)
        if fault.after:
            await asyncio.sleep(fault.delay_s)
            if fault.answers:
                return await self._spoil(fault, reader, writer)
        writer.write(answer)
        await writer.drain()
        if answer.startswith(b"HTTP/1.1 101"):
            await _both_ways(reader, writer, engine_reader, engine_writer)
            return False
        return True

    async def _spoil(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if fault.hang:
            await reader.read()  # until the client gives up
            return False
        if fault.drop:
            return False
        content = b'{"message": "told to fail"}'
        writer.write(b"HTTP/1.1 %d Fault\r\nContent-Length: %d\r\n\r\n%b" % (fault.status, len(content), content))
        await writer.drain()
        return True


def _run(loop: asyncio.AbstractEventLoop, main: object) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    finally:
        loop.close()


def _name(method: str, target: str) -> str:
    path = target.partition("?")[0]
    return next((name for name, verb, pattern in _PATTERNS if verb == method and pattern.fullmatch(path)), "other")


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The engine's whole answer; of an upgrade its head."""
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        parts = [head]
        while True:
            line = await reader.readuntil(b"\r\n")
            parts += [line, await reader.readexactly(int(line, 16) + 2)]
            if int(line, 16) == 0:
                return b"".join(parts)
    return head + await reader.readexactly(_length(head))


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    engine_reader: asyncio.StreamReader,
    engine_writer: asyncio.StreamWriter,
) -> None:
    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(1 << 16):
                target.write(part)
                await target.drain()
            target.write_eof()

    await asyncio.gather(copy(reader, engine_writer), copy(engine_reader, writer))
