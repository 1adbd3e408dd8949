"""Make the layers that images are stacked from, each once, and keep them for the next build.

    agent-python      agent-node        agent-go       the agent and its manifest
    worker-python     worker-node       worker-go      the warm worker
    runtime-python    runtime-node      runtime-go     the language
    base ────────────────────────────────────────      the distribution's essential packages

With an official base, one layer, `official-<language>`, is in the place of the lower two.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker

from runners.images import debian, manifest, recipe, store, toolchains
from runners.images.layer import Layer, LayerWriter, difference, kept, whole, writing
from runners.images.steps import BuildError, Steps

_HERE = Path(__file__).parent
#: Where the image keeps what is ours.
_PETRI = "opt/petri"
#: Else each boot would compile the worker, which takes 8 ms of a core. Unchecked: what lies in an image stays as it is.
_COMPILE_PYTHON = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", f"/{_PETRI}/python"]


class Workshop:
    """The directory where layers are made and kept. One build at a time may use it."""

    def __init__(self, client: docker.DockerClient, directory: Path, *, force: bool) -> None:
        """`force`: make every layer anew, once, whatever is kept."""
        self._client = client
        self._layers = directory / "layers"
        self._cache = directory / "go"
        self.work = directory / "work"
        self._distrusted = force
        self._made: set[str] = set()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Work in here. Nothing but finished layers stays, and what an interrupted build left goes first."""
        self._clear()
        self.work.mkdir(parents=True)
        try:
            yield
        finally:
            self._clear()

    def _clear(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        store.clear(self._client)

    def local_base(self, steps: Steps) -> Layer:
        """The distribution's essential packages, made on this machine."""
        distribution = debian.this_machine()

        def fill(writer: LayerWriter) -> None:
            with tarfile.open(debian.make_root(steps, distribution, debian.BASE_PACKAGES, self.work)) as root:
                whole(writer, root)

        parts = (str(distribution), store.architecture(), *debian.BASE_PACKAGES, _HERE / "debian.py")
        return self._layer(steps, "base", f"bootstrapping {distribution}", parts, fill)

    def local_runtime(self, steps: Steps, language: str, base: Layer) -> Layer:
        """The language, on top of the local base."""
        if language == "python":
            return self._local_python(steps, base)
        toolchain = toolchains.node() if language == "node" else toolchains.go()

        def fill(writer: LayerWriter) -> None:
            writer.facts["version"] = toolchain.version
            if language == "node":
                writer.file("usr/local/bin/node", toolchain.directory / "bin" / "node")
            else:
                writer.tree(toolchains.GOROOT, toolchain.directory, toolchains.in_go_image)

        parts = (toolchain.version, store.architecture(), _HERE / "toolchains.py")
        return self._layer(steps, f"runtime-{language}", f"adding {language} {toolchain.version}", parts, fill)

    def _local_python(self, steps: Steps, base: Layer) -> Layer:
        distribution = debian.this_machine()
        packages = (*debian.BASE_PACKAGES, *debian.PYTHON_PACKAGES)

        def fill(writer: LayerWriter) -> None:
            with tarfile.open(debian.make_root(steps, distribution, packages, self.work)) as root:
                writer.facts["version"] = _python_version(root)
                difference(writer, base.path, root)

        parts = (base.diff_id, *packages, _HERE / "debian.py")
        return self._layer(steps, "runtime-python", f"adding {distribution}'s Python", parts, fill)

    def official_base(self, steps: Steps, language: str) -> Layer:
        """The official image's whole file system as one layer of ours, so that it is as tidy as a local one."""
        reference = recipe.OFFICIAL[language]
        if self._distrusted or store.present(self._client, reference) is None:
            with steps.step(f"fetching {reference}"):
                store.pull(self._client, reference, steps)
        else:
            steps.kept(f"fetching {reference}")

        def fill(writer: LayerWriter) -> None:
            tar = self.work / "root.tar"
            environment = store.root_of(self._client, reference, tar)
            writer.facts["version"] = _official_version(language, environment)
            with tarfile.open(tar) as root:
                whole(writer, root)

        parts = (store.present(self._client, reference) or "",)
        return self._layer(steps, f"official-{language}", f"unpacking {reference}", parts, fill)

    def worker(self, steps: Steps, language: str, below: Sequence[Layer]) -> Layer:
        """The language's warm worker: runners/<language>, prepared by the image itself where that saves time later."""
        source = recipe.RUNNERS / language

        def as_it_is(writer: LayerWriter) -> None:
            writer.tree(f"{_PETRI}/{language}", source, _of_worker)

        def built(writer: LayerWriter) -> None:
            binary = self.work / "goworker"
            self._go_build(steps, source, binary)
            writer.file(f"{_PETRI}/go/goworker", binary)

        def fill(writer: LayerWriter) -> None:
            match language:
                case "python":
                    self._prepare(steps, writer, language, below, as_it_is, _COMPILE_PYTHON)
                case "go":
                    self._prepare(steps, writer, language, below, built, [f"/{_PETRI}/go/goworker", "prepare"])
                case _:
                    as_it_is(writer)

        parts: tuple[str | Path, ...] = (
            *recipe.worker_sources(language),
            _HERE / "workshop.py",
            *(layer.diff_id for layer in below),
            *recipe.environment_lines(language),
        )
        return self._layer(steps, f"worker-{language}", f"adding the {language} worker", parts, fill)

    def _prepare(
        self,
        steps: Steps,
        writer: LayerWriter,
        language: str,
        below: Sequence[Layer],
        unprepared: Callable[[LayerWriter], None],
        argv: list[str],
    ) -> None:
        """What `argv` makes of the worker's directory, run in the image: its own interpreter, where it will lie."""
        raw = self.work / "unprepared.tar"
        with writing(raw, "") as first:
            unprepared(first)
            first.directory("tmp", 0o1777)
        config: dict[str, object] = {"Env": recipe.environment_lines(language), "Labels": {store.LABEL_BUILD: language}}
        image = store.load(self._client, "petri/build", [*below, _finished(raw, "")], config, self.work, steps)
        made = self.work / "prepared.tar"
        store.run_inside(self._client, image, argv, f"/{_PETRI}/{language}", steps, made)
        with tarfile.open(made) as tar:
            whole(writer, tar, f"{_PETRI}/")

    def agent(self, steps: Steps, language: str, version: str, below: Sequence[Layer]) -> Layer:
        """The agent, the manifest that tells it how this very image runs its language, and the work directory."""
        go = toolchains.go()
        text = manifest.manifest(language, version, below)

        def fill(writer: LayerWriter) -> None:
            binary = self.work / "agent"
            self._go_build(steps, recipe.RUNNERS / "agent", binary)
            writer.file(f"{_PETRI}/agent", binary)
            writer.content(f"{_PETRI}/{manifest.NAME}", text.encode())
            writer.directory("workspace")
            writer.directory("tmp", 0o1777)

        made_by = (_HERE / "workshop.py", _HERE / "toolchains.py")
        parts: tuple[str | Path, ...] = (text, go.version, *recipe.agent_sources(), *made_by)
        return self._layer(steps, f"agent-{language}", f"adding the agent, built with Go {go.version}", parts, fill)

    def _go_build(self, steps: Steps, source: Path, binary: Path) -> None:
        # The go command's cache stays: a second build of the same sources takes a second.
        go = toolchains.go()
        argv = ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(binary), "."]
        environment = toolchains.go_environment(go.directory, self._cache)
        steps.run([str(go.directory / "bin" / "go"), *argv], env=environment, cwd=source)

    def _layer(
        self, steps: Steps, role: str, label: str, parts: Sequence[str | Path], fill: Callable[[LayerWriter], None]
    ) -> Layer:
        """The layer for this role, as one step: the one that is kept if it was made from the same parts."""
        path = self._layers / f"{role}.tar"
        key = recipe.key(*parts, _HERE / "layer.py")
        layer = kept(path, key)
        if layer is not None and (role in self._made or not self._distrusted):
            steps.kept(label)
            return layer
        with steps.step(label):
            with writing(path, key) as writer:
                fill(writer)
        self._made.add(role)
        return _finished(path, key)


def _finished(path: Path, key: str) -> Layer:
    layer = kept(path, key)
    assert layer is not None, f"{path} was written and is not there"
    return layer


def _of_worker(path: str) -> bool:
    return recipe.is_source(Path(path)) and path != manifest.NAME


def _python_version(root: tarfile.TarFile) -> str:
    file = root.extractfile("./var/lib/dpkg/status")
    status = file.read().decode() if file else ""
    found = re.search(r"^Package: python3\n(?:.+\n)*?Version: (\d+\.\d+\.\d+)", status, re.MULTILINE)
    if found is None:
        raise BuildError("the distribution's python3 was not installed into the image's root file system")
    return found[1]


def _official_version(language: str, environment: dict[str, str]) -> str:
    variable = {"python": "PYTHON_VERSION", "node": "NODE_VERSION", "go": "GOLANG_VERSION"}[language]
    if not environment.get(variable):
        raise BuildError(f"{recipe.OFFICIAL[language]} does not say its version: it sets no {variable}")
    return environment[variable]
