"""The images as they are in the engine: tidy, network-less, complete, and built again only when they must be."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import pytest

from runners.images import LANGUAGES, BuildError, ImageMissing, Step, build_images, image_id, recipe, store
from runners.wire import Decoder, Frame, Kind

pytestmark = pytest.mark.timeout(600)  # the first test may have to build

#: Everything that may be started with another user's rights, is somebody else's, or may be written by everybody.
_UNTIDY = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o \
    \( -perm /6000 -o ! -user root -o ! -group root -o -perm /022 ! -type l ! \( -type d -perm -1000 \) \) -print
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def container(client: docker.DockerClient, image: str, argv: list[str], **more: object) -> Iterator[str]:
    """A container of an image, without its agent unless `argv` is empty; removed at the end."""
    entrypoint = {"entrypoint": argv} if argv else {}
    made = client.api.create_container(
        image, network_disabled=True, labels={"petri.test": "images"}, **entrypoint, **more
    )
    try:
        yield made["Id"]
    finally:
        client.api.remove_container(made["Id"], force=True)


def output(client: docker.DockerClient, image: str, *argv: str) -> str:
    """What a command in the image says, both streams; it must succeed."""
    with container(client, image, list(argv)) as made:
        client.api.start(made)
        status = client.api.wait(made)["StatusCode"]
        said = client.api.logs(made).decode()
    assert status == 0, said
    return said


def first_frame(client: docker.DockerClient, image: str) -> Frame:
    """What the agent says first. Read from an attached stream: a log would wait for the end of a line."""
    with container(client, image, [], stdin_open=True) as made:
        said = client.api.attach(made, stderr=False, stream=True)
        try:
            client.api.start(made)
            decoder = Decoder(from_agent=True)
            for received in said:
                if frames := decoder.feed(received):
                    return frames[0]
            raise AssertionError(f"the agent ended without a frame: {client.api.logs(made)!r}")
        finally:
            said.close()
            said._response.close()  # docker leaves the half of the connection that it reads from to the collector


def test_images_that_are_up_to_date_are_not_built_again(client: docker.DockerClient, state_dir: Path) -> None:
    steps: list[Step] = []

    built = build_images(client, LANGUAGES, state_dir=state_dir, report=steps.append)

    assert [image.language for image in built] == list(LANGUAGES)
    assert {image.language: image.id for image in built} == {name: image_id(client, name) for name in LANGUAGES}
    assert not any(image.anew for image in built), "scripts/test and `petri images build` build them before the tests"
    assert steps == []


def test_the_agent_in_the_image_says_hello_with_a_warm_worker(client: docker.DockerClient, language: str) -> None:
    frame = first_frame(client, store.tag(language))

    hello = json.loads(frame.payload)
    assert (frame.kind, frame.stream) == (Kind.HELLO, 0)
    assert hello["language"] == language
    assert hello["language_version"] == actual_version(client, language)


def actual_version(client: docker.DockerClient, language: str) -> str:
    argv = {
        "python": ("python3", "-c", "import platform; print(platform.python_version())"),
        "node": ("node", "-p", "process.versions.node"),
        "go": ("go", "env", "GOVERSION"),
    }[language]
    return output(client, store.tag(language), *argv).strip().removeprefix("go")


def test_nothing_in_an_image_is_setuid_or_somebody_elses_or_writable_by_all(
    client: docker.DockerClient, language: str
) -> None:
    assert output(client, store.tag(language), "sh", "-c", _UNTIDY) == ""


def test_an_image_says_nothing_of_the_machine_that_built_it(client: docker.DockerClient, language: str) -> None:
    traces = "find /etc/apt /var/log /var/cache /var/lib/apt /run -type f; cat /etc/machine-id 2>/dev/null; true"

    assert output(client, store.tag(language), "sh", "-c", traces) == ""
    assert socket.gethostname() not in output(client, store.tag(language), "cat", "/etc/hosts", "/etc/hostname")


def test_a_run_finds_its_place(client: docker.DockerClient, language: str) -> None:
    said = output(client, store.tag(language), "sh", "-c", 'pwd; echo "$HOME $TMPDIR $LANG"; test -d /tmp')

    assert said == "/workspace\n/workspace /tmp C.UTF-8\n"


def test_an_image_shares_its_base_with_the_others(client: docker.DockerClient) -> None:
    lowest = {client.api.inspect_image(store.tag(name))["RootFS"]["Layers"][0] for name in LANGUAGES}
    local = {store.find(client, name).base for name in LANGUAGES} == {"local"}  # type: ignore[union-attr]

    assert not local or len(lowest) == 1


def test_the_whole_standard_library_of_python_is_there_and_compiled(client: docker.DockerClient) -> None:
    modules = "asyncio bz2 ctypes curses dbm decimal email lzma multiprocessing readline sqlite3 ssl xml.etree zoneinfo"
    script = f"import {', '.join(modules.split())}; zoneinfo.ZoneInfo('Europe/Berlin'); print('good')"

    said = output(client, "petri/python", "python3", "-v", "-c", script)

    assert "good" in said
    # A module whose compiled form does not fit its source would be compiled again by every single run.
    assert [line for line in said.splitlines() if "bytecode is stale" in line or line.startswith("# wrote")] == []


def test_go_runs_a_program_where_nothing_but_the_work_directory_can_be_written(client: docker.DockerClient) -> None:
    program = 'package main\nimport "fmt"\nfunc main() { fmt.Println("hi") }\n'
    script = f"cat >main.go <<'E'\n{program}E\ngo run main.go"
    host = client.api.create_host_config(
        network_mode="none",
        read_only=True,
        tmpfs={"/workspace": "exec,uid=210001", "/tmp": "exec,uid=210001"},
        cap_drop=["ALL"],
    )

    with container(client, "petri/go", ["sh", "-c", script], host_config=host, user="210001:210001") as made:
        client.api.start(made)
        assert client.api.wait(made)["StatusCode"] == 0, client.api.logs(made)
        assert client.api.logs(made) == b"hi\n"


def test_an_image_that_was_never_built_is_named_with_its_remedy(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "tag", lambda language: f"petri-test/{language}")

    with pytest.raises(ImageMissing, match="petri-test/go does not exist; `petri images build go` makes it"):
        image_id(client, "go")


def test_a_language_without_an_image_is_refused(client: docker.DockerClient, state_dir: Path) -> None:
    with pytest.raises(BuildError, match="no image for cobol; there are python, node, go"):
        build_images(client, ["python", "cobol"], state_dir=state_dir, report=lambda step: None)


def test_a_base_that_is_none_is_refused(client: docker.DockerClient, state_dir: Path) -> None:
    with pytest.raises(BuildError, match="the base is 'remote'; it must be one of auto, official, local"):
        build_images(client, ["python"], state_dir=state_dir, report=lambda step: None, base="remote")


@pytest.fixture
def stand_in(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An image that looks like the official one of Node, made here, and tags of our own to build under."""
    name = "petri-test/official-node:1"
    with container(client, "petri/node", ["true"]) as made:
        client.api.commit(made, "petri-test/official-node", tag="1", changes=["ENV NODE_VERSION=22.99.1"])
    monkeypatch.setitem(recipe.OFFICIAL, "node", name)
    monkeypatch.setattr(store, "tag", lambda language: f"petri-test/{language}")
    yield name
    for image in (name, "petri-test/node"):
        try:
            client.api.remove_image(image, force=True)
        except docker.errors.ImageNotFound:
            continue


def test_an_official_image_becomes_a_base(client: docker.DockerClient, state_dir: Path, stand_in: str) -> None:
    [built] = build_images(client, ["node"], state_dir=state_dir, report=lambda step: None, base="official")

    assert built.anew
    assert json.loads(first_frame(client, built.id).payload)["language_version"] == "22.99.1"
    assert output(client, built.id, "sh", "-c", _UNTIDY) == ""
    image = store.find(client, "node")
    assert image is not None
    assert (image.id, image.base) == (built.id, "official")


def test_asking_for_another_base_makes_an_image_outdated(
    client: docker.DockerClient, state_dir: Path, stand_in: str
) -> None:
    [first] = build_images(client, ["node"], state_dir=state_dir, report=lambda step: None, base="official")
    [same] = build_images(client, ["node"], state_dir=state_dir, report=lambda step: None, base="official")
    [any_base] = build_images(client, ["node"], state_dir=state_dir, report=lambda step: None, base="auto")

    assert (same.anew, any_base.anew) == (False, False)
    assert same.id == any_base.id == first.id


def test_a_build_that_fails_leaves_the_image_there_was(
    client: docker.DockerClient, state_dir: Path, stand_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = build_images(client, ["node"], state_dir=state_dir, report=lambda step: None, base="official")
    monkeypatch.setattr("runners.images.recipe.agent_sources", list)  # another recipe …
    monkeypatch.setattr("runners.images.toolchains.GOROOT", "x")
    steps: list[Step] = []

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runners.images.workshop.Workshop._go_build", fail)  # … and a Ctrl-C while it is built
    with pytest.raises(KeyboardInterrupt):
        build_images(client, ["node"], state_dir=state_dir, report=steps.append, base="official")

    assert steps[-1].failed
    assert image_id(client, "node") == before.id
    assert not (state_dir / "images" / "work").exists()
    assert not list((state_dir / "images" / "layers").glob("*.half"))
