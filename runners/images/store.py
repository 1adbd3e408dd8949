"""What the container engine holds of our images: look one up, load one, take the official ones apart.

The only module here that talks to the engine. Nothing is built there: an image arrives whole through the engine's
load call or not at all.
"""

from __future__ import annotations

import io
import json
import math
import platform
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.auth
import docker.errors
import docker.utils
import requests
import urllib3.exceptions

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
#: How often the log gets how far a pull or a load is: as often as whoever watches is shown its last line.
_PROGRESS_S = 1.0

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


def load(
    client: docker.DockerClient, name: str, layers: list[Layer], config: dict[str, object], work: Path, steps: Steps
) -> str:
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
        answers = client.api.load_image(file, quiet=False) or ()  # type: ignore[no-untyped-call]
        _follow(answers, steps, f"the engine refused the image {name}")
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
        steps.say(f"$ {' '.join(argv)} (in a container of {image})")
        client.api.start(container)
        with _patience(client, _SILENT_S):
            for said in client.api.logs(container, stream=True, follow=True):
                steps.say(said.decode(errors="replace").rstrip("\n"))
            status = client.api.wait(container)["StatusCode"]
        if status:
            raise BuildError(f"{' '.join(argv)} ended with status {status} in {image}")
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


def pull(client: docker.DockerClient, reference: str, steps: Steps) -> None:
    """Fetch an image from its registry. A pull that stands still ends as one that the registry refused."""
    refused = f"the registry did not deliver {reference}"
    try:
        with _asked_for(client, reference) as answer:
            _follow((json.loads(line) for line in answer.iter_lines(chunk_size=None) if line), steps, refused)
    except docker.errors.APIError as error:
        raise BuildError(f"{refused}: {error.explanation}") from error
    except requests.RequestException as error:
        if not _stood_still(error):
            raise
        raise BuildError(f"{refused}: nothing came for {_STALL_S:.0f} s") from error


def _stood_still(error: requests.RequestException) -> bool:
    """Did this time out? Once an answer has begun, requests calls that a failed connection."""
    causes = (error, *error.args)
    return any(isinstance(cause, (requests.Timeout, urllib3.exceptions.ReadTimeoutError)) for cause in causes)


def _asked_for(client: docker.DockerClient, reference: str) -> requests.Response:
    """What `client.api.pull` does, but that would wait for ever."""
    api = client.api
    repository, version = docker.utils.parse_repository_tag(reference)
    registry, _ = docker.auth.resolve_repository_name(repository)
    login = docker.auth.get_config_header(api, registry)
    answer = api.post(
        f"{api.base_url}/v{api.api_version}/images/create",
        params={"fromImage": repository, "tag": version},
        headers={"X-Registry-Auth": login} if login else {},
        stream=True,
        timeout=_STALL_S,
    )
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        raise docker.errors.create_api_error_from_http_exception(error) from error
    return answer


def _follow(answers: Iterable[dict[str, Any]], steps: Steps, refused: str) -> None:
    """Keep in the log what the engine says about a long job, how far it is once a second at most."""
    counted = -math.inf
    for answer in answers:
        if "error" in answer:
            raise BuildError(f"{refused}: {str(answer['error']).strip()}")
        now = time.monotonic()
        progress = answer.get("progressDetail") or {}
        if progress and now - counted < _PROGRESS_S:
            continue
        counted = now if progress else counted
        steps.say(_in_words(answer, progress))


def _in_words(answer: dict[str, Any], progress: dict[str, Any]) -> str:
    words = [str(answer[key]).strip() for key in ("id", "status", "stream") if answer.get(key)]
    if progress.get("total"):
        words.append(f"{progress.get('current', 0) / 1e6:.1f} of {progress['total'] / 1e6:.1f} MB")
    return " ".join(words) or json.dumps(answer)


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
