"""A build's steps: what a person sees of them, and that nothing outlives one."""

from __future__ import annotations

import io
import os
import re
import select
from pathlib import Path

import pytest

from runners.images.steps import BuildError, Step, Steps, console


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def steps(said: io.StringIO, tmp_path: Path) -> Steps:
    return Steps("python", 3, console(said), tmp_path / "logs" / "image-python.log")


def test_steps_are_numbered_lines_with_their_time(steps: Steps, said: io.StringIO) -> None:
    with steps.step("bootstrapping Debian bookworm"):
        assert said.getvalue() == "[python 1/3] bootstrapping Debian bookworm …", "a long step says at once what it is"
    steps.kept("adding python")

    assert said.getvalue().splitlines() == [
        "[python 1/3] bootstrapping Debian bookworm … 0 s",
        "[python 2/3] adding python: done before",
    ]


def test_what_a_command_says_is_in_the_log(steps: Steps) -> None:
    with steps.step("adding python"):
        steps.run(["sh", "-c", "echo out; echo err >&2"])

    assert steps.log.read_text().splitlines() == [
        "== [python 1/3] adding python",
        "$ sh -c echo out; echo err >&2",
        "out",
        "err",
    ]


def test_a_failed_command_shows_its_last_lines_and_where_the_others_are(steps: Steps, said: io.StringIO) -> None:
    with pytest.raises(BuildError) as failure:
        with steps.step("adding python"):
            steps.run(["sh", "-c", "seq 100; exit 7"])

    message = str(failure.value)
    assert message.startswith("sh ended with status 7:\n    76\n")
    assert message.endswith(f"    100\nthe whole output: {steps.log}")
    assert re.fullmatch(r"\[python 1/3\] adding python … failed after \d s\n", said.getvalue())


def test_a_command_that_is_not_there_is_named(steps: Steps) -> None:
    with pytest.raises(BuildError, match="/no/such/program cannot be started: No such file"):
        steps.run(["/no/such/program"])


def test_ctrl_c_ends_everything_a_step_has_started(steps: Steps, tmp_path: Path) -> None:
    # The command itself stands in for the terminal: it interrupts us when its own child runs.
    pid = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid}; kill -INT {os.getpid()}; wait"

    with pytest.raises(KeyboardInterrupt):
        steps.run(["sh", "-c", script])

    assert _ends(int(pid.read_text()))


def test_a_command_that_ignores_its_end_is_killed(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.images.steps._GRACE_S", 0.05)
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}; kill -INT {os.getpid()}; while :; do sleep 0.01; done"

    with pytest.raises(KeyboardInterrupt):
        steps.run(["sh", "-c", script])

    assert _ends(int(pid.read_text()))


def test_each_build_begins_its_log_anew(steps: Steps) -> None:
    steps.say("old")

    again = Steps("python", 3, lambda step: None, steps.log)

    assert again.log.read_text() == ""


def test_a_failed_step_is_reported_as_failed(tmp_path: Path) -> None:
    seen: list[Step] = []
    steps = Steps("go", 1, seen.append, tmp_path / "log")

    with pytest.raises(BuildError):
        with steps.step("adding go"):
            raise BuildError("no")

    assert [(step.label, step.failed, step.seconds is None) for step in seen] == [
        ("adding go", False, True),
        ("adding go", True, False),
    ]


def _ends(pid: int) -> bool:
    """Does this process, not our child, come to its end? A signal takes effect a moment after it is sent."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
