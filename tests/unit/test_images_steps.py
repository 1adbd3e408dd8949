"""A build's steps: what is told of them, that every failure leads to the log, and that nothing outlives one."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from runners.images import layer
from runners.images import steps as steps_module
from runners.images.steps import BuildError, State, Step, Steps


class Seen(list[Step]):
    """What was told of the steps; `until` waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Condition()

    def tell(self, step: Step) -> None:
        with self._told:
            self.append(step)
            self._told.notify_all()

    def until(self, true: Callable[[Step], bool]) -> Step:
        with self._told:
            assert self._told.wait_for(lambda: any(map(true, self)), 20), f"it was never told; there was {self}"
        return next(step for step in self if true(step))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def steps(seen: Seen, tmp_path: Path) -> Steps:
    return Steps("python", 3, seen.tell, tmp_path / "logs" / "image-python.log")


@pytest.fixture(autouse=True)
def no_ticker_stays() -> Iterator[None]:
    yield
    assert tickers() == []


def tickers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "petri-images-ticker"]


@pytest.fixture
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.images.steps._TICK_S", 0.001)


def test_steps_are_numbered_and_told_when_they_begin_and_end(steps: Steps, seen: Seen) -> None:
    with steps.step("bootstrapping Debian bookworm"):
        assert seen == [Step("python", 1, 3, "bootstrapping Debian bookworm", State.BEGUN, seen[0].seconds)]
    steps.kept("adding python")

    assert [(step.number, step.label, step.state) for step in seen[1:]] == [
        (1, "bootstrapping Debian bookworm", State.DONE),
        (2, "adding python", State.KEPT),
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


def test_a_failed_command_shows_its_last_lines_and_where_the_others_are(steps: Steps, seen: Seen) -> None:
    with pytest.raises(BuildError) as failure:
        with steps.step("adding python"):
            steps.run(["sh", "-c", "seq 100; exit 7"])

    message = str(failure.value)
    assert message.startswith("adding python failed: sh ended with status 7:\n    76\n")
    assert message.endswith(f"    100\nthe log: {steps.log}")
    assert [step.state for step in seen] == [State.BEGUN, State.FAILED]


def test_of_a_failed_command_that_said_a_lot_only_the_end_is_read_and_long_lines_are_shortened(steps: Steps) -> None:
    with pytest.raises(BuildError) as failure:
        steps.run(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo short; exit 1"])

    first, long, short = str(failure.value).splitlines()
    assert (first, short) == ("sh ended with status 1:", "    short")
    assert long == f"    {'x' * 199}…"
    assert "x" * 1_000_000 in steps.log.read_text()


def test_of_a_failed_command_no_more_than_the_end_is_read(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "_TAIL_BYTES", 10)

    with pytest.raises(BuildError, match=r"^sh ended with status 1:\n    7890\n    abcd$"):
        steps.run(["sh", "-c", "echo 1234567890; echo abcd; exit 1"])


def test_a_command_that_finds_the_disk_full_is_followed_by_what_to_do(steps: Steps) -> None:
    with pytest.raises(BuildError) as failure:
        with steps.step("adding python"):
            steps.run(["sh", "-c", "/bin/echo x >/dev/full"])

    first, said, hint, log = str(failure.value).splitlines()
    assert first.startswith("adding python failed: sh ended with status ")
    assert "No space left on device" in said
    assert f" are free at {steps.log.parent}; make room there" in hint
    assert log == f"the log: {steps.log}"


def test_a_failed_command_that_said_nothing_is_not_followed_by_another_steps_output(steps: Steps) -> None:
    steps.say("of before")

    with pytest.raises(BuildError, match=r"^false ended with status 1 and said nothing$"):
        steps.run(["false"])


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


def engine_refuses() -> None:
    response = requests.Response()
    response.status_code = 500
    raise docker.errors.APIError("500 Server Error", response, "no such driver")


def engine_is_away() -> None:
    docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41").ping()


def file_is_missing() -> None:
    Path("/no/such/file").read_bytes()


def disk_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        full.write("x")


def image_is_wrong() -> None:
    raise BuildError("the image has no node")


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (engine_refuses, "the container engine failed while adding node: no such driver"),
        (engine_is_away, "the container engine failed while adding node: .*refused.*`petri doctor` says whether"),
        (file_is_missing, "adding node failed: No such file or directory: /no/such/file"),
        (disk_is_full, "adding node failed: No space left on device; .* are free at /.*make room there"),
        (image_is_wrong, "the image has no node"),
        (lambda: int("x"), "adding node failed with ValueError: invalid literal"),
    ],
)
def test_whatever_fails_in_a_step_is_one_sentence_and_the_path_of_the_log(
    steps: Steps, seen: Seen, fails: Callable[[], None], says: str
) -> None:
    with pytest.raises(BuildError, match=f"^{says}") as failure:
        with steps.answering("building petri/node"):
            with steps.step("adding node"):
                fails()

    sentence, *rest = str(failure.value).split("\n")
    assert rest == [f"the log: {steps.log}"], sentence
    assert seen[-1].state is State.FAILED
    log = steps.log.read_text()
    assert log.count("\nfailed: ") == 1 and f"\nfailed: {sentence}" in log
    assert fails is image_is_wrong or "Traceback (most recent call last)" in log, "a sentence hides where it was"


def test_a_failure_between_steps_leads_to_the_log_too(steps: Steps) -> None:
    with pytest.raises(BuildError, match=r"^the image has no node\nthe log: .*image-python.log$"):
        with steps.answering("building petri/node"):
            image_is_wrong()


def test_a_full_disk_is_explained_with_what_is_free_where_the_build_writes(
    steps: Steps, seen: Seen, tmp_path: Path
) -> None:
    place = tmp_path / "layers"
    place.mkdir()
    (place / "base.tar.half").symlink_to("/dev/full")
    steps = Steps("python", 3, seen.tell, steps.log, place)

    with pytest.raises(BuildError) as failure:
        with steps.step("bootstrapping Debian"):
            with layer.writing(place / "base.tar", "key") as writer:
                writer.content("file", bytes(100_000))

    total = shutil.disk_usage(place).total / (1 << 30)
    assert f" of {total:.1f} GiB are free at {place}; make room" in str(failure.value) or total < 1 or total >= 1024
    assert isinstance(failure.value.__cause__, OSError) and failure.value.__cause__.errno == errno.ENOSPC
    assert list(place.iterdir()) == []


def test_a_disk_too_full_for_the_log_is_still_explained(seen: Seen, tmp_path: Path) -> None:
    log = tmp_path / "image.log"
    log.symlink_to("/dev/full")
    steps = Steps("python", 3, seen.tell, log)

    with pytest.raises(BuildError, match=r"^bootstrapping Debian failed: No space left on device; .*\nthe log: "):
        with steps.step("bootstrapping Debian"):
            pass

    assert [step.state for step in seen] == [State.BEGUN, State.FAILED]


def test_ctrl_c_stays_one_even_if_cleaning_up_fails(steps: Steps, seen: Seen) -> None:
    @contextmanager
    def container() -> Iterator[None]:
        try:
            yield
        finally:
            engine_is_away()

    with pytest.raises(KeyboardInterrupt):
        with steps.answering("building petri/go"):
            with steps.step("adding go"):
                with container():
                    os.kill(os.getpid(), signal.SIGINT)
                    threading.Event().wait(20)

    assert seen[-1].state is State.FAILED
    assert "interrupted" in steps.log.read_text()


@pytest.mark.usefixtures("quick_ticks")
def test_a_step_that_goes_on_is_told_with_its_time_and_the_last_line_of_its_log(steps: Steps, seen: Seen) -> None:
    steps.say("of the step before")
    with steps.step("adding python"):
        silent = seen.until(lambda step: step.state is State.GOING)
        steps.say("unpacked\n\n \x1b[32m50 %\r\x1b[1;32m60\t%\x1b[0m\r\n")
        going = seen.until(lambda step: step.said != "")
        later = seen.until(lambda step: step.seconds > going.seconds)

    assert silent.said == ""
    assert (going.state, going.said, going.number) == (State.GOING, "60%", 1)
    assert later.said == "60%"


@pytest.mark.usefixtures("quick_ticks")
def test_after_the_end_of_a_step_nothing_more_is_told_of_it(steps: Steps, seen: Seen) -> None:
    for number in range(1, 50):
        with steps.step("adding python"):
            seen.until(lambda step: step.number == number and step.state is State.GOING)  # noqa: B023  # called here
        assert tickers() == []

    changes = [(step.number, step.state) for step in seen if step.state is not State.GOING]
    assert changes == [(number, state) for number in range(1, 50) for state in (State.BEGUN, State.DONE)]
    assert [step.number for step in seen] == sorted(step.number for step in seen)
    assert all(after.state is State.BEGUN for step, after in pairwise(seen) if step.state is State.DONE)


@pytest.mark.parametrize("fails", [engine_is_away, image_is_wrong, lambda: os.kill(os.getpid(), signal.SIGINT)])
def test_a_step_that_ends_early_leaves_no_ticker(steps: Steps, fails: Callable[[], None]) -> None:
    with pytest.raises((BuildError, KeyboardInterrupt)):
        with steps.step("adding python"):
            assert len(tickers()) == 1
            fails()
            threading.Event().wait(20)

    assert tickers() == []


@pytest.mark.usefixtures("quick_ticks")
def test_ctrl_c_while_the_ticker_ends_waits_for_it_and_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking, ending, ended = threading.Event(), threading.Event(), threading.Event()
    overtaken: list[bool] = []
    held_back = steps_module._interrupts_held_back

    @contextmanager
    def ends() -> Iterator[list[int]]:
        with held_back() as interrupted:
            ending.set()
            yield interrupted

    def report(step: Step) -> None:
        if step.state is State.GOING and not ticking.is_set():
            ticking.set()
            assert ending.wait(20)
            os.kill(os.getpid(), signal.SIGINT)
            overtaken.append(ended.wait(0.2))
        elif step.state is State.FAILED:
            ended.set()

    monkeypatch.setattr(steps_module, "_interrupts_held_back", ends)
    steps = Steps("go", 1, report, tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        with steps.step("adding go"):
            assert ticking.wait(20)

    assert overtaken == [False], "two reports at the same time"
    assert ended.is_set()
    assert tickers() == []


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
