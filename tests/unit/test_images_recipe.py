"""When an image is outdated, and what its manifest says."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from runners.images import recipe
from runners.images.layer import Layer, kept, writing
from runners.images.manifest import manifest
from runners.images.steps import BuildError


@pytest.fixture
def runners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runners directory with one agent and one worker. The builder's own files keep their place."""
    directory = tmp_path / "runners"
    (directory / "agent").mkdir(parents=True)
    (directory / "python").mkdir()
    (directory / "agent" / "main.go").write_text("package main")
    (directory / "python" / "worker.py").write_text("pass")
    (directory / "python" / "worker.json").write_text(
        json.dumps({"language": "python", "command": ["/usr/bin/python3", "x"]})
    )
    (directory / "images").symlink_to(recipe.RUNNERS / "images")
    monkeypatch.setattr(recipe, "RUNNERS", directory)
    monkeypatch.setattr(recipe, "__file__", str(directory / "images" / "recipe.py"))
    return directory


@pytest.mark.parametrize("changed", ["agent/main.go", "python/worker.py", "python/worker.json"])
def test_an_edit_makes_the_image_outdated(runners: Path, changed: str) -> None:
    before = recipe.recipe("python")

    (runners / changed).write_text("edited")

    assert recipe.recipe("python") != before


@pytest.mark.parametrize("added", ["agent/new.go", "python/new.py", "python/package/new.py"])
def test_a_new_file_makes_the_image_outdated(runners: Path, added: str) -> None:
    before = recipe.recipe("python")
    (runners / added).parent.mkdir(exist_ok=True)

    (runners / added).write_text("new")

    assert recipe.recipe("python") != before


def test_a_file_made_executable_makes_the_image_outdated(runners: Path) -> None:
    before = recipe.recipe("python")

    (runners / "python" / "worker.py").chmod(0o755)

    assert recipe.recipe("python") != before


@pytest.mark.parametrize(
    "added",
    [
        "agent/main_test.go",
        "agent/testdata/x",
        "python/__pycache__/worker.cpython-311.pyc",
        "python/.swp",
        "node/worker.cjs",
    ],
)
def test_tests_leftovers_and_other_languages_do_not(runners: Path, added: str) -> None:
    before = recipe.recipe("python")
    (runners / added).parent.mkdir(exist_ok=True)

    (runners / added).write_text("new")

    assert recipe.recipe("python") == before


def test_every_image_has_a_recipe_of_its_own() -> None:
    assert len({recipe.recipe(language) for language in recipe.LANGUAGES}) == len(recipe.LANGUAGES)


def test_parts_cannot_be_shifted_between_each_other() -> None:
    assert recipe.key("ab", "c") != recipe.key("a", "bc")


@pytest.mark.parametrize("place", ["usr/bin/python3", "usr/local/bin/python3"])
def test_the_manifest_names_the_interpreter_where_this_image_has_it(runners: Path, tmp_path: Path, place: str) -> None:
    below = [layer(tmp_path, "base", "usr/bin/sh"), layer(tmp_path, "runtime", place)]

    filled = json.loads(manifest("python", "3.13.9", below))

    assert filled == {"language": "python", "command": [f"/{place}", "x"], "language_version": "3.13.9"}


def test_a_worker_of_our_own_is_named_where_it_is(runners: Path, tmp_path: Path) -> None:
    (runners / "python" / "worker.json").write_text(json.dumps({"command": ["/opt/petri/go/goworker"]}))

    filled = json.loads(manifest("python", "1.27.3", [layer(tmp_path, "worker", "opt/petri/go/goworker")]))

    assert filled["command"] == ["/opt/petri/go/goworker"]


def test_an_image_without_its_interpreter_is_not_built(runners: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="neither /usr/bin/python3 nor python3 on its PATH, /usr/local/sbin:"):
        manifest("python", "3.13.9", [layer(tmp_path, "base", "usr/bin/sh")])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("{}", "names no command"),
        ('{"command": "x"}', "names no command"),
    ],
)
def test_a_worker_without_a_usable_manifest_is_named(runners: Path, text: str | None, fault: str) -> None:
    path = runners / "python" / "worker.json"
    path.unlink() if text is None else path.write_text(text)

    with pytest.raises(BuildError, match=f"{path} {fault}"):
        manifest("python", "3.13.9", [])


def layer(directory: Path, name: str, *files: str) -> Layer:
    path = directory / f"{name}.tar"
    with writing(path, "key") as writer:
        for file in files:
            writer.content(file, b"", 0o755)
    finished = kept(path, "key")
    assert finished is not None and tarfile.is_tarfile(path)
    return finished
