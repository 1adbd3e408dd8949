"""Run the steps of a build: each is reported while it goes on, and all that it says is kept in a log.

Whatever ends a step early, Ctrl-C included, ends every process the step had started.
"""

from __future__ import annotations

import enum
import os
import re
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runners.images.failures import no_room, ran_out_of_room, sentence, was_interrupted

#: How much of a failed step is shown. Compilers and apt put the reason into their last lines.
_TAIL_LINES = 25
_TAIL_COLUMNS = 200  # some quote a command with a hundred arguments
#: How much of the log is read to find those lines, and the last line to show while a step goes on.
_TAIL_BYTES = 1 << 16
_LAST_LINE_BYTES = 1 << 12
#: How often whoever watches is told that a step goes on: seconds are what they are shown.
_TICK_S = 1.0
#: How long an interrupted command may clean up after itself (mmdebstrap unmounts and deletes) before it is killed.
_GRACE_S = 15.0
#: How long a killed one may take to be gone; longer only where a disk or a network file system hangs.
_KILL_S = 15.0

_LINE_ENDS = re.compile(r"[\r\n]+")  # a program that thinks it has a terminal ends them with \r
_CONTROL_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class BuildError(Exception):
    """An image could not be built; the message says why and what to do, over several lines perhaps.

    `log` is the file with the details, which the last line of the message names; None if the build had not begun.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.log: Path | None = None

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.log is None else f"{message}\nthe log: {self.log}"


class CommandFailed(BuildError):
    """A command could not be started, or ended with another status than 0."""


class State(enum.Enum):
    """BEGUN, GOING about once a second, then DONE or FAILED; or KEPT alone."""

    BEGUN = "begun"
    GOING = "going"
    DONE = "done"
    FAILED = "failed"
    KEPT = "kept"  # nothing was done: what an earlier build made is still right


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one image's build, as told to whoever watches."""

    language: str
    number: int
    of: int
    label: str
    state: State
    seconds: float = 0.0  # since it began
    said: str = ""  # the last line of printable text that its log got


#: Called on every change of a step. GOING comes from another thread, never while another call is under way.
Report = Callable[[Step], None]


class Steps:
    """The steps of one image, numbered in the order they are taken."""

    def __init__(self, language: str, of: int, report: Report, log: Path, disk: Path | None = None) -> None:
        """Begins `log` anew. A failure for want of room tells what is free at `disk`; by default, where the log is."""
        self._language = language
        self._of = of
        self._report = report
        self._taken = 0
        self._disk = disk or log.parent
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def kept(self, label: str) -> None:
        """A step that has nothing to do."""
        self._taken += 1
        self._report(Step(self._language, self._taken, self._of, label, State.KEPT))

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Take a step; what `run` and `say` write belongs to it. It fails as `answering` says."""
        self._taken += 1
        step = Step(self._language, self._taken, self._of, label, State.BEGUN)
        began = time.monotonic()

        def tell(state: State, said: str = "") -> None:
            self._report(replace(step, state=state, seconds=time.monotonic() - began, said=said))

        tell(State.BEGUN)
        try:
            with self.answering(label):
                self.say(f"== [{self._language} {step.number}/{self._of}] {label}")
                begin = self.log.stat().st_size
                with _ticking(lambda: tell(State.GOING, self._said_since(begin))):
                    yield
        except BaseException:
            tell(State.FAILED)
            raise
        tell(State.DONE)

    @contextmanager
    def answering(self, doing: str) -> Iterator[None]:
        """Whatever fails in here becomes a `BuildError` that names the log, which has the details. Ctrl-C stays one."""
        try:
            yield
        except Exception as error:
            if was_interrupted(error):
                self._say_if_possible("interrupted, and then:", *traceback.format_exception(error))
                raise KeyboardInterrupt from error
            failure = self._failure(error, doing)
            if failure.log is None:  # else it has been written down
                plain = isinstance(error, BuildError) and not error.__cause__
                more = () if plain else traceback.format_exception(error)
                self._say_if_possible(f"failed: {failure}", *more)
                failure.log = self.log
            if failure is error:
                raise
            raise failure from error
        except BaseException as error:
            self._say_if_possible(f"ended by {type(error).__name__}")
            raise

    def _failure(self, error: Exception, doing: str) -> BuildError:
        if isinstance(error, CommandFailed) and error.log is None:
            return BuildError(f"{doing} failed: {error}")  # the name of a program does not tell what it was for
        return error if isinstance(error, BuildError) else BuildError(sentence(error, doing, self._disk))

    def say(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{text}\n")

    def _say_if_possible(self, *text: str) -> None:
        with suppress(OSError):  # a disk that is full has no room for the log either
            self.say("\n".join(part.rstrip("\n") for part in text))

    def _said_since(self, begin: int) -> str:
        """The last line that the log got since it was `begin` bytes long; "" if there is none."""
        with suppress(OSError):
            lines = _LINE_ENDS.split(_end_of(self.log, begin, _LAST_LINE_BYTES))
            printable = ("".join(filter(str.isprintable, _CONTROL_SEQUENCES.sub("", line))) for line in reversed(lines))
            return next((line for line in map(str.strip, printable) if line), "")
        return ""

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Run a command with its output in the log. `CommandFailed` has the end of that output."""
        self.say(f"$ {' '.join(argv)}")
        begin = self.log.stat().st_size
        with self.log.open("ab") as log:
            with _interrupts_held_back() as interrupted:
                try:
                    process = subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=None if env is None else dict(env),
                        cwd=cwd,
                        start_new_session=True,  # a group of its own: the end of it is the end of all it started
                    )
                except OSError as error:
                    raise CommandFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
            try:
                if interrupted:
                    raise KeyboardInterrupt
                status = process.wait()
            except BaseException:
                _end_group(process)
                raise
        if status:
            output = _end_of(self.log, begin, _TAIL_BYTES)
            lines = [f"    {_shortened(line)}" for line in output.splitlines()[-_TAIL_LINES:]]
            shown = ":" if lines else " and said nothing"
            hint = [no_room(self._disk)] if ran_out_of_room(output) else []
            raise CommandFailed("\n".join([f"{argv[0]} ended with status {status}{shown}", *lines, *hint]))


def _shortened(line: str) -> str:
    return line if len(line) <= _TAIL_COLUMNS else f"{line[: _TAIL_COLUMNS - 1]}…"


def _end_of(path: Path, begin: int, most: int) -> str:
    """What comes after the first `begin` bytes of a file, or its end where that is more than `most` bytes."""
    with path.open("rb") as file:
        file.seek(max(begin, file.seek(0, os.SEEK_END) - most))
        return file.read(most).decode(errors="replace")


@contextmanager
def _ticking(tick: Callable[[], None]) -> Iterator[None]:
    """Call `tick` every second, in a thread that is gone when the block is left, whichever way that happens."""
    over = threading.Event()

    def tick_on() -> None:
        while not over.wait(_TICK_S):
            tick()

    ticker = threading.Thread(target=tick_on, name="petri-images-ticker", daemon=True)
    try:
        ticker.start()
        yield
    finally:
        # A Ctrl-C that came now would leave the ticker writing into whatever follows.
        with _interrupts_held_back() as interrupted:
            over.set()
            if ticker.is_alive():
                ticker.join()
        if interrupted:
            raise KeyboardInterrupt


@contextmanager
def _interrupts_held_back() -> Iterator[list[int]]:
    """Collect a Ctrl-C instead of raising it: raised inside `Popen`, it would lose a process that already runs."""
    collected: list[int] = []
    in_force = signal.getsignal(signal.SIGINT)
    if in_force is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield collected  # whoever handles it here does not raise in this thread
        return
    signal.signal(signal.SIGINT, lambda number, frame: collected.append(number))
    try:
        yield collected
    finally:
        signal.signal(signal.SIGINT, in_force)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all of its group: asked first, then killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with suppress(ProcessLookupError):  # whoever of its group is still there
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_S)
