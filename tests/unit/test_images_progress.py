"""What a person sees of a build, on a terminal and in the log of a CI job."""

from __future__ import annotations

import io
import os
import pty
import termios
from contextlib import suppress
from typing import TextIO

import pytest

from runners.images.progress import console
from runners.images.steps import State, Step

BEGUN, GOING, DONE, FAILED, KEPT = State.BEGUN, State.GOING, State.DONE, State.FAILED, State.KEPT


def step(state: State, seconds: float = 0.0, said: str = "", number: int = 1, label: str = "adding python") -> Step:
    return Step("python", number, 5, label, state, seconds, said)


class Terminal:
    """A real pseudo-terminal, and what its screen shows of what was written to it."""

    def __init__(self, columns: int) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        self._columns = columns or 80
        self.stream: TextIO = os.fdopen(slave, "w")

    def screen(self) -> list[str]:
        """Its lines, once no more can be written; blanks at their ends are left out."""
        self.stream.close()
        received = b""
        with suppress(OSError):  # how a terminal says that nobody is at its other end
            while block := os.read(self._master, 4096):
                received += block
        os.close(self._master)
        rows: list[dict[int, str]] = [{}]
        column = 0
        for character in received.decode():
            if character == "\r":
                column = 0
            elif character == "\n":
                rows.append({})
            else:
                assert character.isprintable(), f"not every terminal understands {character!r}"
                if column == self._columns:
                    rows.append({})
                    column = 0
                rows[-1][column] = character
                column += 1
        return ["".join(row.get(place, " ") for place in range(max(row, default=-1) + 1)).rstrip() for row in rows]


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


def test_a_step_says_at_once_what_it_is_and_then_how_long_it_took(lines: io.StringIO) -> None:
    report = console(lines)

    report(step(BEGUN))
    assert lines.getvalue() == "[python 1/5] adding python …"
    report(step(DONE, 3.4))
    report(step(KEPT, number=2, label="adding the agent"))
    report(step(BEGUN, number=3))
    report(step(FAILED, 7.1, number=3))

    assert lines.getvalue().splitlines() == [
        "[python 1/5] adding python … 3 s",
        "[python 2/5] adding the agent: done before",
        "[python 3/5] adding python … failed after 7 s",
    ]


def test_where_lines_stay_a_long_step_adds_one_every_fifteen_seconds(lines: io.StringIO) -> None:
    report = console(lines)

    report(step(BEGUN))
    for second in range(1, 47):
        report(step(GOING, second + 0.01, said="" if second < 20 else f"package {second}"))
    report(step(DONE, 46.4))
    report(step(BEGUN, number=2))
    for second in range(1, 17):
        report(step(GOING, second + 0.01, number=2))
    report(step(FAILED, 17, number=2))

    assert lines.getvalue().splitlines() == [
        "[python 1/5] adding python …",
        "[python 1/5] … still going after 15 s",
        "[python 1/5] … still going after 30 s: package 30",
        "[python 1/5] … still going after 45 s: package 45",
        "[python 1/5] adding python … 46 s",
        "[python 2/5] adding python …",
        "[python 2/5] … still going after 15 s",
        "[python 2/5] adding python … failed after 17 s",
    ]
    assert "\r" not in lines.getvalue()


def test_a_long_line_of_the_log_is_shortened(lines: io.StringIO) -> None:
    report = console(lines)

    report(step(BEGUN))
    report(step(GOING, 15, said="x" * 500))

    added = lines.getvalue().splitlines()[1]
    assert added.startswith("[python 1/5] … still going after 15 s: xxx") and added.endswith("x…")
    assert len(added) == 120


def test_on_a_terminal_the_line_of_the_step_counts_the_seconds() -> None:
    shown = []
    for seconds in range(4):
        terminal = Terminal(80)
        report = console(terminal.stream)
        report(step(BEGUN))
        for second in range(1, seconds + 1):
            report(step(GOING, second))
        shown.append(terminal.screen())

    assert shown == [
        ["[python 1/5] adding python …"],
        ["[python 1/5] adding python … 1 s"],
        ["[python 1/5] adding python … 2 s"],
        ["[python 1/5] adding python … 3 s"],
    ]


def test_on_a_terminal_nothing_stays_of_what_was_rewritten() -> None:
    terminal = Terminal(80)
    report = console(terminal.stream)

    report(step(BEGUN))
    report(step(GOING, 9, said="Unpacking libpython3.11-stdlib"))
    report(step(GOING, 10, said="short"))
    report(step(DONE, 10.2))
    report(step(KEPT, number=2, label="adding the agent"))
    report(step(BEGUN, number=3))
    report(step(GOING, 9, number=3, said="Unpacking libpython3.11-stdlib"))
    report(step(FAILED, 9.6, number=3))

    assert terminal.screen() == [
        "[python 1/5] adding python … 10 s",
        "[python 2/5] adding the agent: done before",
        "[python 3/5] adding python … failed after 10 s",
        "",
    ]


@pytest.mark.parametrize("columns", [20, 40, 0])
def test_a_narrow_terminal_keeps_to_one_line_while_a_step_goes_on(columns: int) -> None:
    terminal = Terminal(columns)
    report = console(terminal.stream)

    report(step(BEGUN, label="bootstrapping Debian bookworm"))
    for second in range(5):
        report(step(GOING, second, label="bootstrapping Debian bookworm", said="Unpacking " * 20))

    [line] = terminal.screen()
    assert line.startswith("[python 1/5] boots") and line.endswith("…")


def test_a_build_outlives_whoever_watched_it() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    report = console(stream)
    report(step(BEGUN))
    os.close(reading)

    report(step(GOING, 15))
    report(step(DONE, 16))

    with pytest.raises(BrokenPipeError):
        stream.close()  # it was broken indeed
