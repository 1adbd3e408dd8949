"""The processes that make up a running Petri, started, watched, and ended in order."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from petri import logs, stop_signals

#: Of a log's end, for a person to read.
_LINES = 15


class Services:
    """By name, in the order in which they were started."""

    def __init__(self, log: Path | None = None) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = log

    def start(self, name: str, arguments: Sequence[str], *, output: int | None = None, lifeline: bool) -> int:
        """Start `petri ARGUMENTS…` in a session of its own, so that Ctrl-C reaches this process alone. Returns its pid.

        `lifeline`: it gets a standard input that ends with this process.
        """
        with stop_signals.held_back():  # or a signal between start and record would leave it to nobody
            process = self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "petri", *arguments],
                stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,
            )
        return process.pid

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def status(self, name: str) -> int | None:
        """Exit status, negative for a signal; None for what runs, or was never started."""
        return self._processes[name].poll() if name in self._processes else None

    def has_ended(self) -> bool:
        """Whether any of them has."""
        return any(process.poll() is not None for process in self._processes.values())

    def obituary(self) -> str:
        """Who has ended, how, and what their log says last."""
        ended = {name: process.poll() for name, process in self._processes.items() if process.poll() is not None}
        said = ", ".join(f"{name} ended with status {status}" for name, status in ended.items())
        if self._log is None:
            return said
        lines = self._log.read_text(errors="replace").splitlines()
        telling = [line for line in lines if not logs.is_routine(line)] or lines
        tail = "\n".join(f"    {line}" for line in telling[-_LINES:])
        return f"{said}; the end of {self._log}, without what went as usual:\n{tail}"

    def wait_for_an_end(self) -> None:
        if self.has_ended():
            return
        with contextlib.ExitStack() as opened:
            ends = select.poll()
            for process in self._processes.values():
                pidfd = os.pidfd_open(process.pid)  # of one that has ended since, too: nobody has asked how
                opened.callback(os.close, pidfd)
                ends.register(pidfd, select.POLLIN)
            ends.poll()

    def stop(self, longest_s: float) -> None:
        """The last started first: nobody new comes in, then every sandbox goes."""
        for name, process in reversed(self._processes.items()):
            if process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(longest_s)
            except subprocess.TimeoutExpired:
                click.echo(f"petri: {name} did not end within {longest_s:g} s, killing it", err=True)
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def running(self, arguments: Sequence[str], longest_stop_s: float) -> Iterator[None]:
        """Pool and gateway. However the block is left, they are ended, and no signal interrupts from then on."""
        try:
            for name in ("pool", "gateway"):
                self.start(name, [*arguments, name, "--end-with-starter"], lifeline=True)
            yield
        finally:
            stop_signals.ignore_from_now_on(len(self._processes) * longest_stop_s)
            self.stop(longest_stop_s)
