"""What goes wrong before an image is begun: said in a sentence, too."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from runners.images import BuildError, State, Step, build, build_images


@pytest.fixture
def no_engine() -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
    yield client
    client.close()


def test_an_engine_that_is_gone_is_named(no_engine: docker.DockerClient, tmp_path: Path) -> None:
    expected = r"the container engine failed while preparing to build images: .*refused.*`petri doctor`"
    with pytest.raises(BuildError, match=expected):
        build_images(no_engine, ["node"], state_dir=tmp_path, report=lambda step: None)


def test_a_state_directory_that_cannot_be_used_is_named(no_engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BuildError, match=f"Not a directory: {tmp_path}/file/images$"):
        build_images(no_engine, ["node"], state_dir=tmp_path / "file", report=lambda step: None)


def test_a_build_that_waits_for_another_says_so(no_engine: docker.DockerClient, tmp_path: Path) -> None:
    directory = tmp_path / "images"
    directory.mkdir()
    seen: list[Step] = []
    with (directory / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def report(step: Step) -> None:
            seen.append(step)
            fcntl.flock(other, fcntl.LOCK_UN)  # the other ends when this one has said that it waits

        with build._alone(directory, report, tmp_path / "logs"):
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert [(step.label, step.state) for step in seen] == [
        ("waiting for another build to end", State.BEGUN),
        ("waiting for another build to end", State.DONE),
    ]


def test_a_build_that_is_alone_waits_for_nobody_and_stays_alone(tmp_path: Path) -> None:
    seen: list[Step] = []

    with build._alone(tmp_path / "images", seen.append, tmp_path / "logs"):
        with (tmp_path / "images" / "lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)

    assert seen == []
