"""A public test double of the engine: containers without Docker, with an agent that plays a script.

`FakeEngine` stands at the same seam as Docker and asserts what a real engine would punish: a container destroyed twice,
frozen twice, thawed while running. Its agent speaks the real protocol over a real socket pair. It runs "programs" of
one instruction a line:

    print TEXT · err TEXT · exit CODE · signal NUMBER · hang · die · garbage · timeout · overflow
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from pool import daemon
from pool.engine import Container, EngineError, EngineFacts, Usage
from pool.fleet import Fleet
from pool.settings import PoolSettings
from pool.template import Template
from runners.channel import Transport
from runners.wire import PROTOCOL_VERSION, Decoder, Frame, Kind, RunnerProtocolError, encode


class FakeContainer:
    """One container of the fake engine. `frozen` and `destroyed` are for tests to look at."""

    transport = Transport.RAW

    def __init__(self, engine: FakeEngine, sandbox_id: str, template: Template, slot: int, *, background: bool) -> None:
        self._engine = engine
        self.id = sandbox_id
        self.template = template
        self.slot = slot
        self.socket, self.agent_end = socket.socketpair()
        self.agent_end.setblocking(False)
        self.background = background
        self.frozen = False
        self.destroyed = False
        self.usage_now = Usage()
        self.killed = False  # while frozen: it dies when it is thawed
        self.lost = False  # the engine knows it no more

    def __repr__(self) -> str:
        return f"<FakeContainer {self.id[:11]} slot {self.slot}>"

    def to_foreground(self) -> None:
        self.background = False

    async def freeze(self) -> None:
        await self._engine.step("freeze", self.id)
        assert not self.frozen, f"{self!r} was frozen already"
        assert not self.destroyed, f"{self!r} was destroyed"
        self.frozen = True

    async def thaw(self) -> None:
        await self._engine.step("thaw", self.id)
        if self.destroyed:  # meanwhile, by a pool that closes
            raise EngineError("thaw", f"{self!r} was destroyed")
        assert self.frozen, f"{self!r} was not frozen"
        assert not self.background, f"{self!r} would run with a small share in the processors"
        assert not self.destroyed, f"{self!r} was destroyed"
        self.frozen = False

    def is_alive(self) -> bool:
        return not self.killed

    async def usage(self) -> Usage:
        return self.usage_now

    def die(self) -> None:
        """As if its agent had been killed."""
        self.agent_end.shutdown(socket.SHUT_RDWR)  # not closed: the agent's task still waits on it, and sees the end


class FakeEngine:
    """Containers in memory. Use within `running()`, which owns their agents."""

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.started = 0
        self.destroyed = 0
        self.swept = 0
        #: Step names ("start", "hello", "freeze", "thaw", "destroy"), those of one sandbox with its id behind, to an
        #: exception to raise there.
        self.faults: dict[str, Exception] = {}
        #: Step names to an event that must be set before the step goes on.
        self.gates: dict[str, anyio.Event] = {}
        self.orphans_removed: list[str] = []
        self.asked: list[str] = []  # whether they can be reached, in order
        self.steps: list[str] = []  # that were begun, in order
        self.start_takes_s = 0.0
        self.protocol = PROTOCOL_VERSION
        self.language: str | None = None  # what agents claim to run; None: the template's
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeEngine]:
        async with anyio.create_task_group() as self._tasks:
            try:
                yield self
            finally:
                self._tasks.cancel_scope.cancel()
        for container in list(self.containers.values()):  # those that a test kept the pool from destroying
            self._forget(container)

    async def step(self, name: str, sandbox_id: str) -> None:
        """One step of the engine's work: a place to wait, to fail, and to be cancelled."""
        self.steps.append(name)
        await anyio.lowlevel.checkpoint()
        if gate := self.gates.get(name) or self.gates.get(f"{name} {sandbox_id}"):
            await gate.wait()
        if fault := self.faults.get(name) or self.faults.get(f"{name} {sandbox_id}"):
            raise fault

    # -- the seam ---------------------------------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        return EngineFacts("fake 1", "fake", "it is a test double")

    def image(self, template: Template) -> str:
        return f"sha256:fake-{template.image}"

    async def start(self, sandbox_id: str, template: Template, slot: int, *, background: bool) -> FakeContainer:
        assert self._tasks is not None, "use FakeEngine within running()"
        assert sandbox_id not in self.containers, f"{sandbox_id} was started before"
        taken = {one.slot for one in self.containers.values()}
        assert slot not in taken, f"slot {slot} belongs to a living container"
        container = self.containers[sandbox_id] = FakeContainer(self, sandbox_id, template, slot, background=background)
        self.started += 1
        try:
            await self.step("start", sandbox_id)
            await anyio.sleep(self.start_takes_s)
        except BaseException:
            self._forget(container)
            raise
        self._tasks.start_soon(self._play, container)
        return container

    async def destroy(self, container: Container) -> bool:
        assert isinstance(container, FakeContainer)
        assert not container.destroyed, f"{container!r} was destroyed before"
        await self.step("destroy", container.id)
        self.destroyed += 1
        self._forget(container)
        return not container.lost

    async def reach(self, container: Container) -> bool:
        assert isinstance(container, FakeContainer)
        self.asked.append(container.id)
        await self.step("reach", container.id)
        return not container.lost

    async def sweep(self) -> int:
        await self.step("sweep", "")
        return self.swept

    async def ours(self) -> set[str]:
        return set(self.containers)

    def _forget(self, container: FakeContainer) -> None:
        container.destroyed = True
        anyio.notify_closing(container.agent_end)
        container.agent_end.close()
        container.socket.close()
        del self.containers[container.id]

    async def remove_orphan(self, sandbox_id: str) -> None:
        await self.step("remove_orphan", sandbox_id)
        self.orphans_removed.append(sandbox_id)

    # -- the agent --------------------------------------------------------------------------------------------------

    async def _play(self, container: FakeContainer) -> None:
        await self.step("hello", container.id)
        if container.destroyed:  # while it waited there
            return
        with suppress(OSError, anyio.ClosedResourceError, RunnerProtocolError):
            await FakeAgent(container.agent_end, self.language or container.template.language, self.protocol).play()


class FakeAgent:
    """The agent's half of the protocol, for programs of one instruction a line."""

    def __init__(self, sock: socket.socket, language: str, protocol: int) -> None:
        self._socket = sock
        self._language = language
        self._protocol = protocol
        self._decoder = Decoder(from_agent=False)
        self._frames: list[Frame] = []

    async def play(self) -> None:
        hello = {
            "protocol": self._protocol,
            "agent": "fake",
            "language": self._language,
            "language_version": "0",
        }
        await self._send(Frame(Kind.HELLO, 0, json.dumps(hello).encode()))
        while True:
            frame = await self._receive()
            if frame.kind is Kind.EXEC and not await self._run(frame):
                return

    async def _run(self, frame: Frame) -> bool:
        execution = json.loads(frame.payload)
        expected = sum(file["size"] for file in execution["files"])
        content = b""
        while len(content) < expected:
            part = await self._receive()
            assert part.kind is Kind.DATA, part
            content += part.payload
        if "argv" in execution:
            script = execution["argv"][-1]
        else:
            size = next(file["size"] for file in execution["files"] if file["path"] == execution["program"])
            script = content[:size].decode()
        ending: dict[str, object] = {"exit_code": 0, "signal": None}
        for line in script.splitlines():
            verb, _, rest = line.partition(" ")
            match verb:
                case "print" | "err":
                    kind = Kind.STDOUT if verb == "print" else Kind.STDERR
                    await self._send(Frame(kind, frame.stream, rest.encode() + b"\n"))
                case "exit":
                    ending = {"exit_code": int(rest), "signal": None}
                case "signal":
                    ending = {"exit_code": None, "signal": int(rest)}
                case "timeout":  # the host knows when it cannot be true
                    await anyio.sleep(execution["timeout_ms"] / 1000)
                    ending = {"exit_code": None, "signal": 9, "timed_out": True}
                case "hang":
                    while (await self._receive()).kind is not Kind.SIGNAL:
                        pass
                    ending = {"exit_code": None, "signal": 9}
                case "die":
                    self._socket.shutdown(socket.SHUT_RDWR)
                    return False
                case "overflow":  # as if it had left its standard input unread
                    overflow = {"code": "stdin_overflow", "message": "more than 7 bytes are waiting"}
                    await self._send(Frame(Kind.ERROR, frame.stream, json.dumps(overflow).encode()))
                    return True
                case "garbage":
                    await anyio.wait_writable(self._socket)
                    self._socket.send(b"\xff" * 64)
        await self._send(Frame(Kind.EXIT, frame.stream, json.dumps(ending).encode()))
        return True

    async def _receive(self) -> Frame:
        while not self._frames:
            await anyio.wait_readable(self._socket)
            received = self._socket.recv(65536)
            if not received:
                raise anyio.ClosedResourceError
            self._frames += self._decoder.feed(received)
        return self._frames.pop(0)

    async def _send(self, frame: Frame) -> None:
        rest = encode(frame)
        while rest:
            await anyio.wait_writable(self._socket)
            rest = rest[self._socket.send(rest) :]


@asynccontextmanager
async def fake_pool_daemon(
    templates: Sequence[Template], path: Path, settings: PoolSettings | None = None
) -> AsyncIterator[tuple[FakeEngine, Fleet]]:
    """A real fleet behind its real socket at `path`, over a fake engine."""
    async with FakeEngine().running() as engine:
        async with Fleet(engine, templates, settings or PoolSettings()).running() as fleet:
            with daemon.listening(path) as listener:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(daemon.serve, fleet, listener)
                    try:
                        yield engine, fleet
                    finally:
                        tasks.cancel_scope.cancel()


def must_fail(step: str, reason: str = "refused") -> dict[str, Exception]:
    """For `FakeEngine.faults`."""
    return {step: EngineError(reason, f"{step} was told to fail")}
