"""The processes that make up a running Petri, started, watched, and ended in order."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from petri import stop_signals

_LOOK_S = 0.05


class Services:
    """By name, in the order in which they were started."""

    def __init__(self, log: Path | None = None) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = log

    def start(self, name: str, arguments: Sequence[str], *, output: int | None = None, bound: bool) -> int:
        """Start `petri ARGUMENTS…` in a session of its own, so that Ctrl-C reaches this process alone. Returns its pid.

        `bound`: it gets a standard input that ends with this process.
        """
        with stop_signals.held_back():  # or a signal between start and record would leave it to nobody
            process = self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "petri", *arguments],
                stdin=subprocess.PIPE if bound else subprocess.DEVNULL,
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

    def obituary(self) -> str:
        """Who has ended, or nothing."""
        ended = {name: process.poll() for name, process in self._processes.items() if process.poll() is not None}
        said = ", ".join(f"{name} ended with status {status}" for name, status in ended.items())
        if said and self._log is not None:
            tail = "\n".join(f"    {line}" for line in self._log.read_text(errors="replace").splitlines()[-15:])
            return f"{said}; the end of {self._log}:\n{tail}"
        return said

    def wait_for_an_end(self) -> None:
        while not self.obituary():
            time.sleep(_LOOK_S)

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
def running(arguments: Sequence[str], longest_stop_s: float) -> Iterator[Services]:
    """Pool and gateway. However the block is left, they are ended, and nothing interrupts that."""
    services = Services()
    try:
        for name in ("pool", "gateway"):
            services.start(name, [*arguments, name, "--end-with-starter"], bound=True)
        yield services
    finally:
        stop_signals.ignored()
        services.stop(longest_stop_s)
