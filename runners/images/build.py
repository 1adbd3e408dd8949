"""Build the images that are missing or outdated: `build_images` is what `petri images build` does."""

from __future__ import annotations

import fcntl
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import docker

from runners.images import recipe, store
from runners.images.failures import ENGINE_FAILURES, sentence
from runners.images.steps import BuildError, Report, Steps
from runners.images.workshop import Workshop

#: `auto`: the official image if a registry answers at once, else a base made on this machine.
Base = Literal["auto", "official", "local"]

_ENTRYPOINT = ["/opt/petri/agent", "--worker", "/opt/petri/worker.json", "--workspace", "/workspace"]


@dataclass(frozen=True, slots=True)
class Built:
    """An image that now exists and is up to date."""

    language: str
    id: str
    anew: bool  # built by this call; else it was up to date
    seconds: float


def build_images(
    client: docker.DockerClient,
    languages: Sequence[str] = recipe.LANGUAGES,
    *,
    state_dir: Path,
    report: Report,
    force: bool = False,
    base: str = "auto",
) -> list[Built]:
    """Bring these images up to date, one after the other; with `force`, build them anew with everything in them.

    Raises `BuildError` at the first that cannot be built; those before it stay. May be interrupted at any point and
    called again. Of two calls at the same time, the second waits and finds the work done.
    """
    unknown = [language for language in languages if language not in recipe.LANGUAGES]
    if unknown:
        raise BuildError(f"there is no image for {', '.join(unknown)}; there are {', '.join(recipe.LANGUAGES)}")
    if base not in get_args(Base):
        raise BuildError(f"the base is {base!r}; it must be one of {', '.join(get_args(Base))}")
    if platform.system() != "Linux":
        raise BuildError(f"images are built on Linux, and this is {platform.system()}")
    directory, logs = state_dir / "images", state_dir / "logs"
    try:
        with _alone(directory, report, logs):
            workshop = Workshop(client, directory, force=force)
            builder = _Builder(client, workshop, base, report, logs)
            return [builder.bring_up_to_date(language, force) for language in languages]
    except (OSError, *ENGINE_FAILURES) as error:  # before or between builds: there is no log to name
        raise BuildError(sentence(error, "preparing to build images", state_dir)) from error


@contextmanager
def _alone(directory: Path, report: Report, logs: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Steps("images", 1, report, logs / "images.log").step("waiting for another build to end"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Builder:
    """Builds one image after the other and remembers whether a registry answered."""

    def __init__(self, client: docker.DockerClient, workshop: Workshop, base: str, report: Report, logs: Path) -> None:
        self._client = client
        self._workshop = workshop
        self._base = base
        self._report = report
        self._logs = logs
        self._registry_answers: bool | None = None

    def bring_up_to_date(self, language: str, force: bool) -> Built:
        began = time.monotonic()
        wanted = recipe.recipe(language)
        image = store.find(self._client, language)
        if image and image.recipe == wanted and self._base in ("auto", image.base) and not force:
            return Built(language, image.id, anew=False, seconds=time.monotonic() - began)
        log = self._logs / f"image-{language}.log"
        steps = Steps(language, 5, self._report, log, self._workshop.work.parent)
        with steps.answering(f"building {store.tag(language)}"):
            with self._workshop.open():
                made = self._build(steps, language, wanted)
        return Built(language, made, anew=True, seconds=time.monotonic() - began)

    def _build(self, steps: Steps, language: str, wanted: str) -> str:
        official = self._official(language)
        if official:
            layers = [self._workshop.official_base(steps, language)]
        else:
            base = self._workshop.local_base(steps)
            layers = [base, self._workshop.local_runtime(steps, language, base)]
        version = layers[-1].facts["version"]
        layers.append(self._workshop.worker(steps, language, layers))
        layers.append(self._workshop.agent(steps, language, version, layers))
        with steps.step(f"handing {store.tag(language)} to the engine"):
            config = _config(language, version, wanted, "official" if official else "local")
            made = store.load(self._client, store.tag(language), layers, config, self._workshop.work, steps)
            store.remove_superseded(self._client, language)
        return made

    def _official(self, language: str) -> bool:
        if self._base != "auto":
            return self._base == "official"
        if self._registry_answers is not False:
            self._registry_answers = store.offered(self._client, recipe.OFFICIAL[language])
        return self._registry_answers


def _config(language: str, version: str, wanted: str, base: str) -> dict[str, object]:
    """How a container of the image starts, and what the image says of itself."""
    return {
        "Entrypoint": _ENTRYPOINT,
        "WorkingDir": "/workspace",
        "Env": recipe.environment_lines(language),
        "Labels": {
            store.LABEL_LANGUAGE: language,
            store.LABEL_RECIPE: wanted,
            store.LABEL_BASE: base,
            "org.opencontainers.image.title": store.tag(language),
            "org.opencontainers.image.description": f"Petri's agent and warm worker for {language} {version}",
            "org.opencontainers.image.version": version,
        },
    }
