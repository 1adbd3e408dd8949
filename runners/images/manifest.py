"""Fill in an image's worker.json: the version its language has there, and where its command lies there."""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Sequence

from runners.images import recipe
from runners.images.layer import Layer
from runners.images.steps import BuildError

NAME = "worker.json"


def manifest(language: str, version: str, below: Sequence[Layer]) -> str:
    """The text of /opt/petri/worker.json in an image whose lower layers are `below`."""
    path = recipe.RUNNERS / language / NAME
    try:
        filled: dict[str, object] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be read: {error}") from error
    command = filled.get("command")
    if not isinstance(command, list) or not command or not isinstance(command[0], str):
        raise BuildError(f"{path} names no command; it must be a list of a program and its arguments")
    filled["language_version"] = version
    filled["command"] = [_program(language, command[0], below), *command[1:]]
    return json.dumps(filled, indent=2) + "\n"


def _program(language: str, program: str, below: Sequence[Layer]) -> str:
    """Where PATH finds this program in the image: the distribution's and the official ones differ in that."""
    names: set[str] = set()
    for layer in below:
        with tarfile.open(layer.path) as tar:
            names.update(tar.getnames())
    search = recipe.environment(language)["PATH"]
    name = posixpath.basename(program)
    found = [directory for directory in search.split(":") if posixpath.join(directory, name).lstrip("/") in names]
    if found:
        return posixpath.join(found[0], name)
    if program.lstrip("/") in names:
        return program  # the worker's own
    raise BuildError(f"the image has neither {program} nor {name} on its PATH, {search}")
