"""Run the steps of a build: each is reported with its time, and all that it says is kept in a log.

Whatever ends a step early, Ctrl-C included, ends every process the step had started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

#: How much of a failed step is shown. Compilers and apt put the reason into their last lines.
_TAIL_LINES = 25
#: How long an interrupted command may clean up after itself (mmdebstrap unmounts and deletes) before it is killed.
_GRACE_S = 15.0
#: How long a killed one may take to be gone; longer only where a disk or a network file system hangs.
_KILL_S = 15.0


class BuildError(Exception):
    """An image could not be built; the message says why and what to do, over several lines perhaps."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one image's build, as told to whoever watches: first without `seconds`, then with them."""

    language: str
    number: int
    of: int
    label: str
    seconds: float | None = None
    kept: bool = False  # nothing was done: what an earlier build made is still right
    failed: bool = False


Report = Callable[[Step], None]


def console(stream: TextIO) -> Report:
    """Reports as lines: `[python 2/5] bootstrapping Debian bookworm … 14 s`."""

    def report(step: Step) -> None:
        if step.seconds is None and not step.kept:
            stream.write(f"[{step.language} {step.number}/{step.of}] {step.label} …")
        elif step.kept:
            stream.write(f"[{step.language} {step.number}/{step.of}] {step.label}: done before\n")
        else:
            stream.write(f" {'failed after ' if step.failed else ''}{step.seconds:.0f} s\n")
        stream.flush()

    return report


class Steps:
    """The steps of one image, numbered in the order they are taken."""

    def __init__(self, language: str, of: int, report: Report, log: Path) -> None:
        """Begins `log` anew."""
        self._language = language
        self._of = of
        self._report = report
        self._taken = 0
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def kept(self, label: str) -> None:
        """A step that has nothing to do."""
        self._taken += 1
        self._report(Step(self._language, self._taken, self._of, label, kept=True))

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Take a step; what `run` and `say` write belongs to it."""
        self._taken += 1
        began = time.monotonic()

        def tell(seconds: float | None = None, failed: bool = False) -> None:
            self._report(Step(self._language, self._taken, self._of, label, seconds, failed=failed))

        self.say(f"== [{self._language} {self._taken}/{self._of}] {label}")
        tell()
        try:
            yield
        except BaseException as error:
            tell(time.monotonic() - began, failed=True)
            self.say(f"failed: {error!r}")
            raise
        tell(time.monotonic() - began)

    def say(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{text}\n")

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Run a command with its output in the log. A failure is a `BuildError` with the end of that output."""
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
                    raise BuildError(f"{argv[0]} cannot be started: {error.strerror}") from error
            try:
                if interrupted:
                    raise KeyboardInterrupt
                status = process.wait()
            except BaseException:
                _end_group(process)
                raise
        if status:
            with self.log.open("rb") as log:
                log.seek(begin)
                lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
            shown = "".join(f"    {line}\n" for line in lines)
            raise BuildError(f"{argv[0]} ended with status {status}:\n{shown}the whole output: {self.log}")


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
