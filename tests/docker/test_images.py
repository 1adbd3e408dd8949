"""The images as they are in the engine: tidy, network-less, complete, and built again only when they must be."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import pytest

from runners.images import LANGUAGES, BuildError, ImageMissing, State, Step, build_images, image_id, recipe, store
from runners.images.steps import Steps
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
    log = (state_dir / "logs" / "image-node.log").read_text()
    assert "Loading layer" in log, "how far it is"
    assert "Loaded image: petri-test/node:latest" in log


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

    assert steps[-1].state is State.FAILED
    assert image_id(client, "node") == before.id
    assert not (state_dir / "images" / "work").exists()
    assert not list((state_dir / "images" / "layers").glob("*.half"))


def test_a_disk_that_is_full_is_explained_and_leads_to_the_log(
    client: docker.DockerClient, tmp_path: Path, stand_in: str
) -> None:
    layers = tmp_path / "images" / "layers"
    layers.mkdir(parents=True)
    (layers / "official-node.tar.half").symlink_to("/dev/full")

    with pytest.raises(BuildError) as failure:
        build_images(client, ["node"], state_dir=tmp_path, report=lambda step: None, base="official")

    log = tmp_path / "logs" / "image-node.log"
    assert str(failure.value).startswith(f"unpacking {stand_in} failed: No space left on device; ")
    assert f"free at {tmp_path / 'images'}; make room" in str(failure.value)
    assert str(failure.value).endswith(f"\nthe log: {log}") and str(failure.value).count(str(log)) == 1
    assert "OSError: [Errno 28]" in log.read_text()
    assert sorted(path.name for path in (tmp_path / "images").rglob("*") if path.is_file()) == ["lock"]


def test_what_a_command_in_a_container_says_is_in_the_log(client: docker.DockerClient, tmp_path: Path) -> None:
    steps = Steps("python", 1, lambda step: None, tmp_path / "log")
    argv = ["python3", "-c", "print('prepared')"]

    with steps.step("adding the worker"):
        store.run_inside(client, "petri/python", argv, "/opt/petri/python", steps, tmp_path / "made.tar")

    assert steps.log.read_text().splitlines()[1:] == [
        "$ python3 -c print('prepared') (in a container of petri/python)",
        "prepared",
    ]
    with tarfile.open(tmp_path / "made.tar") as made:
        assert "python" in made.getnames()


def test_a_command_that_fails_in_a_container_leads_to_the_log(client: docker.DockerClient, tmp_path: Path) -> None:
    steps = Steps("python", 1, lambda step: None, tmp_path / "log")
    argv = ["sh", "-c", "echo no; exit 7"]

    with pytest.raises(BuildError, match=f" ended with status 7 in petri/python\nthe log: {steps.log}$"):
        with steps.step("adding the worker"):
            store.run_inside(client, "petri/python", argv, "/", steps, tmp_path / "made.tar")

    assert "\nno\n" in steps.log.read_text()
    assert client.api.containers(all=True, filters={"label": f"{store.LABEL_BUILD}=petri/python"}) == []


class Registry(http.server.ThreadingHTTPServer):
    """A registry with one image of one file, under every name but `missing`."""

    def __init__(self) -> None:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as layer:
            layer.addfile(tarfile.TarInfo("file"))
        self.of: dict[str, tuple[str, bytes]] = {}
        config = {
            "architecture": store.architecture(),
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar.getvalue()).hexdigest()}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": self._add("application/vnd.docker.container.image.v1+json", json.dumps(config).encode()),
            "layers": [self._add("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress(tar.getvalue()))],
        }
        self.manifest = str(self._add(manifest["mediaType"], json.dumps(manifest).encode())["digest"])
        super().__init__(("127.0.0.1", 0), _FromRegistry)

    def _add(self, kind: object, content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.of[digest] = (str(kind), content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}


class _FromRegistry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Registry)
        last = self.path.rpartition("/")[2]
        digest = last if last.startswith("sha256:") else self.server.manifest
        kind, content = self.server.of.get(digest, ("", b""))
        self.send_response(404 if "/missing/" in self.path or not content else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def registry(client: docker.DockerClient) -> Iterator[str]:
    """Where the engine finds a registry of ours. It asks one on the loop-back without TLS."""
    with Registry() as registry:
        thread = threading.Thread(target=registry.serve_forever, args=(0.01,))
        thread.start()
        address = f"127.0.0.1:{registry.server_port}"
        yield address
        registry.shutdown()
        thread.join()
    for image in client.api.images():
        for name in image["RepoTags"] or ():
            if name.startswith(address):
                client.api.remove_image(name, force=True)


def test_an_image_is_fetched_from_a_registry_with_all_that_the_engine_says(
    client: docker.DockerClient, registry: str, tmp_path: Path
) -> None:
    steps = Steps("node", 5, lambda step: None, tmp_path / "log")
    reference = f"{registry}/library/node:22-slim"

    with steps.step(f"fetching {reference}"):
        store.pull(client, reference, steps)

    assert store.offered(client, reference)
    assert store.present(client, reference)
    assert "22-slim Pulling from library/node" in steps.log.read_text()
    assert f"Downloaded newer image for {reference}" in steps.log.read_text()


def test_an_image_that_a_registry_has_not_leads_to_the_log(
    client: docker.DockerClient, registry: str, tmp_path: Path
) -> None:
    steps = Steps("node", 5, lambda step: None, tmp_path / "log")
    reference = f"{registry}/missing/node:22-slim"

    with pytest.raises(BuildError, match=f"^the registry did not deliver {reference}: .*\nthe log: {steps.log}$"):
        with steps.step(f"fetching {reference}"):
            store.pull(client, reference, steps)

    assert not store.offered(client, reference)
