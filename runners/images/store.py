"""What the container engine holds of our images: look one up, load one, take the official ones apart.

The only module here that talks to the engine. Nothing is built there: an image arrives whole through the engine's
load call or not at all.
"""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from runners.images.layer import Layer
from runners.images.steps import BuildError, Steps

LABEL_LANGUAGE = "petri.language"
LABEL_RECIPE = "petri.recipe"  # hash over everything the image was made from
LABEL_BASE = "petri.base"  # official or local
LABEL_BUILD = "petri.build"  # an image or a container that only a build needs

#: How long a registry may take to name an image before it counts as out of reach. A near one takes well under a
#: second; every build on a machine without one pays this once.
PROBE_S = 4.0
#: How long a pull may stand still.
_STALL_S = 120.0

#: How long loading an image, or compiling Go's standard library (30 s on two cores), may go on without a word.
_SILENT_S = 1200.0

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageMissing(BuildError):
    """An image that was asked for has not been built."""


@dataclass(frozen=True, slots=True)
class Image:
    """One of our images in the engine."""

    id: str
    recipe: str
    base: str


def tag(language: str) -> str:
    return f"petri/{language}"


def image_id(client: docker.DockerClient, language: str) -> str:
    """The id, sha256:…, of the newest `petri/<language>`. `ImageMissing` says how to make it."""
    image = find(client, language)
    if image is None:
        raise ImageMissing(f"image {tag(language)} does not exist; `petri images build {language}` makes it")
    return image.id


def find(client: docker.DockerClient, language: str) -> Image | None:
    attributes = _inspect(client, f"{tag(language)}:latest")
    if attributes is None:
        return None
    labels = (attributes.get("Config") or {}).get("Labels") or {}
    return Image(attributes["Id"], labels.get(LABEL_RECIPE, ""), labels.get(LABEL_BASE, ""))


def architecture() -> str:
    """This machine's, as images name it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def load(client: docker.DockerClient, name: str, layers: list[Layer], config: dict[str, object], work: Path) -> str:
    """Make an image of this name (or give the name to a newer one) from its layers and return its id.

    An archive as `docker save` writes it is the one way in that every engine from 17 to 29 has, whichever builder or
    image store it uses; a builder would have to be told to leave out the network, and would need it for BuildKit's
    own front end. Layers the engine has already are not unpacked again.
    """
    document = {
        "architecture": architecture(),
        "os": "linux",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": f"petri images build: {layer.path.stem}"} for layer in layers],
    }
    paths = [f"{layer.diff_id.removeprefix('sha256:')}/layer.tar" for layer in layers]
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": paths}]
    archive = work / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for layer, path in zip(layers, paths, strict=True):
            tar.add(layer.path, path)
        for path, content in (("config.json", document), ("manifest.json", manifest)):
            encoded = json.dumps(content).encode()
            member = tarfile.TarInfo(path)
            member.size = len(encoded)
            tar.addfile(member, io.BytesIO(encoded))
    with archive.open("rb") as file, _patience(client, _SILENT_S):
        for line in client.api.load_image(file, quiet=True) or ():  # type: ignore[no-untyped-call]
            if "error" in line:
                raise BuildError(f"the engine refused the image {name}: {line['error'].strip()}")
    archive.unlink()
    made = present(client, name)
    if made is None:
        raise BuildError(f"the engine took the image {name} and does not have it")
    return made


def remove_superseded(client: docker.DockerClient, language: str) -> None:
    """Remove older builds of an image, but the last: a pool that runs boots from the one it found when it started."""
    images = client.api.images(filters={"label": f"{LABEL_LANGUAGE}={language}", "dangling": True})
    for image in sorted(images, key=lambda image: image["Created"], reverse=True)[1:]:
        try:
            client.api.remove_image(image["Id"])
        except docker.errors.APIError:
            continue  # a container is still made of it; the next build comes by again


def run_inside(
    client: docker.DockerClient, image: str, argv: list[str], directory: str, steps: Steps, to: Path
) -> None:
    """Run a command once, as root and without a network, in a container of `image`; then write `directory` as a tar."""
    container = client.api.create_container(
        image, entrypoint=argv, network_disabled=True, working_dir="/", labels={LABEL_BUILD: image}
    )["Id"]
    try:
        client.api.start(container)
        with _patience(client, _SILENT_S):
            for said in client.api.logs(container, stream=True, follow=True):
                steps.say(said.decode(errors="replace").rstrip("\n"))
            status = client.api.wait(container)["StatusCode"]
        if status:
            raise BuildError(f"{' '.join(argv)} ended with status {status} in {image}; what it said: {steps.log}")
        with to.open("wb") as file:
            for block in client.api.get_archive(container, directory)[0]:
                file.write(block)
    finally:
        client.api.remove_container(container, force=True, v=True)


def clear(client: docker.DockerClient) -> None:
    """Remove what an interrupted build left in the engine."""
    for container in client.api.containers(all=True, filters={"label": LABEL_BUILD}):
        client.api.remove_container(container["Id"], force=True, v=True)
    for image in client.api.images(filters={"label": LABEL_BUILD}):
        client.api.remove_image(image["Id"], force=True)


def offered(client: docker.DockerClient, reference: str) -> bool:
    """Does a registry answer, soon, that it has this image?"""
    try:
        with _patience(client, PROBE_S):
            client.api.inspect_distribution(reference)  # type: ignore[no-untyped-call]
    except (docker.errors.APIError, requests.RequestException):
        return False
    return True


def pull(client: docker.DockerClient, reference: str) -> Iterator[str]:
    """Fetch an image from its registry; yields what the engine says about it."""
    repository, _, version = reference.partition(":")
    try:
        with _patience(client, _STALL_S):
            for line in client.api.pull(repository, tag=version, stream=True, decode=True):
                if "error" in line:
                    raise BuildError(f"the registry did not deliver {reference}: {line['error']}")
                yield " ".join(str(line[key]) for key in ("id", "status", "progress") if line.get(key))
    except (docker.errors.APIError, requests.RequestException) as error:
        raise BuildError(f"the registry did not deliver {reference}: {error}") from error


def root_of(client: docker.DockerClient, reference: str, to: Path) -> dict[str, str]:
    """Write the root file system of an image in the engine to `to`, as a tar; returns the image's environment."""
    attributes = _inspect(client, reference)
    if attributes is None:
        raise BuildError(f"the engine has no image {reference}")
    container = client.api.create_container(reference, command=["true"], network_disabled=True)["Id"]
    try:
        with to.open("wb") as file:
            for block in client.api.export(container):
                file.write(block)
    finally:
        client.api.remove_container(container, force=True)
    pairs = (entry.partition("=") for entry in attributes["Config"].get("Env") or ())
    return {name: value for name, _, value in pairs}


def present(client: docker.DockerClient, reference: str) -> str | None:
    """The id of an image the engine has, whoever made it."""
    attributes = _inspect(client, reference)
    return None if attributes is None else str(attributes["Id"])


def _inspect(client: docker.DockerClient, reference: str) -> dict[str, Any] | None:
    try:
        attributes: dict[str, Any] = client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        return None
    return attributes


@contextmanager
def _patience(client: docker.DockerClient, seconds: float) -> Iterator[None]:
    """How long the engine may take over each of its answers."""
    usual = client.api.timeout
    client.api.timeout = seconds  # type: ignore[assignment]  # requests takes fractions
    try:
        yield
    finally:
        client.api.timeout = usual
