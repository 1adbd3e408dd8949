"""Start the agent as a plain subprocess and talk to it over its standard input and output, blocking."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from runners.wire import MAX_PAYLOAD_BYTES, Decoder, Frame, Kind, encode

#: How long any answer may take before a test gives up. Far above what is expected, for the busy machine.
PATIENCE_S = 30.0

#: Makes the agent PID 1 of a PID namespace of its own, as it is in a container.
AS_PID_1 = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--")


class AgentGone(Exception):
    """The agent closed its channel."""


@dataclass
class Outcome:
    """What came back on the stream of one EXEC: EXIT's payload, or ERROR's."""

    frames: list[Frame] = field(default_factory=list)
    exit: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)

    @property
    def stdout(self) -> bytes:
        return self._joined(Kind.STDOUT)

    @property
    def stderr(self) -> bytes:
        return self._joined(Kind.STDERR)

    @property
    def output(self) -> bytes:
        """Both, in order of arrival."""
        return self._joined(Kind.STDOUT, Kind.STDERR)

    def _joined(self, *kinds: Kind) -> bytes:
        return b"".join(frame.payload for frame in self.frames if frame.kind in kinds)

    @property
    def exit_code(self) -> int | None:
        assert self.exit, f"no EXIT but {self.error}"
        code: int | None = self.exit["exit_code"]
        return code

    @property
    def signal(self) -> int | None:
        assert self.exit, f"no EXIT but {self.error}"
        signal: int | None = self.exit["signal"]
        return signal


class AgentProcess:
    """One agent and the host's end of its channel. Leaving the `with` closes the channel and waits for its end."""

    def __init__(
        self,
        binary: Path,
        manifest: Mapping[str, object],
        workspace: Path,
        *,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.workspace = workspace
        self.has_zygote = bool(manifest.get("zygote"))
        manifest_file = workspace.parent / f"{workspace.name}.worker.json"
        manifest_file.write_text(json.dumps(manifest))
        base = {"PATH": os.environ["PATH"], "HOME": str(workspace), "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
        command = [*prefix, str(binary), "--worker", str(manifest_file), "--workspace", str(workspace)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=base | dict(env or {})
        )
        self._decoder = Decoder(from_agent=True)
        self._received: deque[Frame] = deque()
        self._aside: dict[int, deque[Frame]] = {}
        self._next_stream = 1
        self.hello: dict[str, Any] = {}

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        try:
            self.wait()
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def greeted(self) -> AgentProcess:
        """Waits for HELLO."""
        frame = self.receive()
        assert frame.kind is Kind.HELLO, f"{frame!r} {frame.payload!r}"
        self.hello = json.loads(frame.payload)
        return self

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> int:
        """The agent's exit status, once it has ended."""
        return self.process.wait(PATIENCE_S)

    def send_bytes(self, raw: bytes) -> None:
        assert self.process.stdin is not None
        rest = memoryview(raw)
        while rest:
            rest = rest[self.process.stdin.write(rest) :]

    def send(self, kind: Kind, stream: int, payload: bytes | Mapping[str, object] = b"") -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_bytes(encode(Frame(kind, stream, raw)))

    def send_in_pieces(self, kind: Kind, stream: int, content: bytes) -> None:
        for at in range(0, len(content), MAX_PAYLOAD_BYTES):
            self.send(kind, stream, content[at : at + MAX_PAYLOAD_BYTES])

    def receive(self, patience_s: float = PATIENCE_S) -> Frame:
        """The next frame. Raises `AgentGone` at the end of the channel and `TimeoutError`."""
        deadline = time.monotonic() + patience_s
        while not self._received:
            received = self.read(max(0.0, deadline - time.monotonic()))
            if not received:
                self._decoder.end()
                raise AgentGone
            self._received.extend(self._decoder.feed(received))
        return self._received.popleft()

    def receive_on(self, stream: int) -> Frame:
        """The next frame of that stream. Those of other streams are put aside for whoever asks for them."""
        aside = self._aside.get(stream)
        while not aside:
            frame = self.receive()
            if frame.stream == stream:
                return frame
            assert frame.stream, f"{frame!r} {frame.payload!r}"
            self._aside.setdefault(frame.stream, deque()).append(frame)
        return aside.popleft()

    def read(self, patience_s: float) -> bytes:
        """Raw bytes of the channel, b"" at its end."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], patience_s)[0]:
            raise TimeoutError("nothing from the agent")
        return os.read(self.process.stdout.fileno(), 1 << 16)

    def last_words(self) -> dict[str, Any]:
        """The ERROR on stream 0, which is the last frame before the end."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(self.receive())
        except AgentGone:
            assert frames, "not a word"
            assert (frames[-1].kind, frames[-1].stream) == (Kind.ERROR, 0), frames
            words: dict[str, Any] = json.loads(frames[-1].payload)
            return words

    def new_stream(self) -> int:
        self._next_stream += 1
        return self._next_stream - 1

    def start(
        self,
        program: str | None = None,
        *,
        argv: Sequence[str] | None = None,
        files: Mapping[str, bytes] | None = None,
        stdin: bytes | None = b"",
        **order: object,
    ) -> int:
        """Sends an EXEC with its files. `program` is the text of a program, argv a command. `stdin` None: left open."""
        stream = self.new_stream()
        content = dict(files or {})
        message: dict[str, object] = {"timeout_ms": 20_000, "stream_limit": 1 << 20, "output_limit": 8 << 20}
        if program is not None:
            content["main.sh"] = program.encode()
            message["program"] = "main.sh"
        if argv is not None:
            message["argv"] = list(argv)
        message["files"] = [{"path": path, "size": len(text)} for path, text in content.items()]
        self.send(Kind.EXEC, stream, message | order)
        self.send_in_pieces(Kind.DATA, stream, b"".join(content.values()))
        self.send_in_pieces(Kind.STDIN, stream, stdin or b"")
        if stdin is not None:
            self.send(Kind.STDIN_END, stream)
        return stream

    def outcome(self, stream: int) -> Outcome:
        """Everything until EXIT or ERROR of that stream."""
        outcome = Outcome()
        while True:
            frame = self.receive_on(stream)
            outcome.frames.append(frame)
            if frame.kind is Kind.EXIT:
                outcome.exit = json.loads(frame.payload)
                return outcome
            if frame.kind is Kind.ERROR:
                outcome.error = json.loads(frame.payload)
                return outcome
            assert frame.kind in (Kind.STDOUT, Kind.STDERR), frame

    def run(self, program: str | None = None, **order: Any) -> Outcome:
        return self.outcome(self.start(program, **order))

    def until_stdout(self, marker: bytes) -> bytes:
        """Standard output up to and including `marker`."""
        seen = b""
        while marker not in seen:
            frame = self.receive()
            assert frame.kind is Kind.STDOUT, f"{frame!r} {frame.payload[:200]!r}"
            seen += frame.payload
        return seen

    def ask(self, kind: Kind, **order: object) -> tuple[bytes, dict[str, Any]]:
        """One GET, LIST, STAT or REMOVE: its content, and DONE's or ERROR's payload."""
        stream = self.new_stream()
        self.send(kind, stream, order)
        return self.answer(stream)

    def put(self, path: str, content: bytes, **order: object) -> dict[str, Any]:
        return self.answer(self.start_put(path, content, **order))[1]

    def start_put(self, path: str, content: bytes, **order: object) -> int:
        stream = self.new_stream()
        self.send(Kind.PUT, stream, {"path": path, "size": len(content)} | order)
        self.send_in_pieces(Kind.DATA, stream, content)
        return stream

    def answer(self, stream: int) -> tuple[bytes, dict[str, Any]]:
        content = b""
        while True:
            frame = self.receive_on(stream)
            if frame.kind is Kind.CONTENT:
                content += frame.payload
                continue
            assert frame.kind in (Kind.DONE, Kind.ERROR), frame
            return content, json.loads(frame.payload)

    def children(self) -> list[int]:
        """Pids, as this process sees them, of the agent's children, ended ones included."""
        return children_of(self.pid)

    def descendants(self) -> list[int]:
        """Pids, as this process sees them, of everybody below the agent."""
        found: list[int] = []
        ahead = [self.pid]
        while ahead:
            below = children_of(ahead.pop())
            found += below
            ahead += below
        return found

    def guests(self) -> list[int]:
        """The descendants that are neither zygote nor worker. Unreaped ones count."""
        return [pid for pid in self.descendants() if b"sh_worker.py" not in command_line(pid)]

    @property
    def pid(self) -> int:
        """The agent's pid, as this process sees it, whatever it was started through."""
        pid = self.process.pid
        while "agent" not in Path(f"/proc/{pid}/comm").read_text():
            (pid,) = children_of(pid)
        return pid


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def eventually(condition: Callable[[], bool]) -> None:
    """Waits for what the kernel does in its own time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)
