"""Show a build to a person: one line per step, which moves while the step goes on."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO

from runners.images.steps import Report, State, Step

#: How often a step that goes on gets another line where lines cannot be rewritten: often enough that nobody takes a
#: CI job for dead, rare enough that a whole build of three images adds about five.
_ANOTHER_LINE_S = 15.0
#: Longest such line, and a terminal's width where it does not tell.
_COLUMNS = 120
_UNKNOWN_COLUMNS = 80


def console(stream: TextIO) -> Report:
    """Reports as lines: `[python 2/5] bootstrapping Debian bookworm … 14 s`.

    On a terminal that line counts the seconds; elsewhere a step says every 15 s in another line that it still goes on.
    Both show the last thing that the step's log got. A stream that fails, because whoever read it is gone, is left
    alone: the build goes on.
    """
    return _Terminal(stream) if stream.isatty() else _Lines(stream)


class _Lines:
    """For files, pipes and CI: nothing is ever rewritten."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = False  # the line of the step has no end yet
        self._due = 0.0

    def __call__(self, step: Step) -> None:
        if step.state is State.BEGUN:
            self._begun, self._due = True, _ANOTHER_LINE_S
            _write(self._stream, _head(step))
        elif step.state is not State.GOING:
            _write(self._stream, f"{_tail(step) if self._begun else _line(step)}\n")
            self._begun = False
        elif step.seconds >= self._due:
            said = f": {step.said}" if step.said else ""
            going = _fitted(f"{_name(step)} … still going after {step.seconds:.0f} s{said}", _COLUMNS)
            _write(self._stream, f"{chr(10) if self._begun else ''}{going}\n")
            self._begun, self._due = False, (step.seconds // _ANOTHER_LINE_S + 1) * _ANOTHER_LINE_S


class _Terminal:
    """For a person who watches. Only `\\r` and blanks, so that every terminal understands it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = 0  # characters of the line the cursor is in

    def __call__(self, step: Step) -> None:
        ends = step.state not in (State.BEGUN, State.GOING)
        line = _line(step)
        if not ends:
            # A line that wraps could not be rewritten: `\r` goes back to the beginning of its last part.
            line = _fitted(f"{line}  {step.said}" if step.said else line, self._columns() - 1)
        _write(self._stream, f"\r{line:<{self._shown}}{chr(10) if ends else ''}")
        self._shown = 0 if ends else len(line)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _UNKNOWN_COLUMNS
        except OSError:
            return _UNKNOWN_COLUMNS


def _name(step: Step) -> str:
    return f"[{step.language} {step.number}/{step.of}]"


def _head(step: Step) -> str:
    return f"{_name(step)} {step.label}{'' if step.state is State.KEPT else ' …'}"


def _tail(step: Step) -> str:
    return {
        State.BEGUN: "",
        State.GOING: f" {step.seconds:.0f} s",
        State.DONE: f" {step.seconds:.0f} s",
        State.FAILED: f" failed after {step.seconds:.0f} s",
        State.KEPT: ": done before",
    }[step.state]


def _line(step: Step) -> str:
    return _head(step) + _tail(step)


def _fitted(line: str, columns: int) -> str:
    return line if len(line) <= columns else f"{line[: max(columns - 1, 0)]}…"


def _write(stream: TextIO, text: str) -> None:
    with suppress(OSError):
        stream.write(text)
        stream.flush()
