"""Say what each image is made from, as one hash per image: a change to any of it makes the image outdated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from runners.images import toolchains
from runners.images.store import architecture

LANGUAGES = ("python", "node", "go")

RUNNERS = Path(__file__).parent.parent

#: What each official base is called: the language's version is chosen, the Debian release behind it is theirs.
OFFICIAL = {"python": "python:3.13-slim", "node": "node:22-slim", "go": "golang:1.27"}

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "HOME": "/workspace", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
_MORE_ENVIRONMENT = {
    # The toolchain that is there, no question to a network that is not, and the standard library compiled already.
    "go": {
        "PATH": f"/usr/local/go/bin:{_PATH}",
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOCACHE": "/opt/petri/go/cache",
        # Reads fall through to that cache, writes go to /tmp: with a cache that cannot be written `go run` fails.
        "GOCACHEPROG": "/opt/petri/go/goworker cacheprog",
        "CGO_ENABLED": "0",  # the same on both bases: the official one has a C compiler
        "TEST_TELEMETRY_DIR": "/dev/null",  # else the go command leaves its counters in the work directory
    },
}


def environment(language: str) -> dict[str, str]:
    """The environment of everything in the image, and so of every run."""
    return _ENVIRONMENT | _MORE_ENVIRONMENT.get(language, {})


def environment_lines(language: str) -> list[str]:
    """The same as an image's configuration has it."""
    return [f"{name}={value}" for name, value in environment(language).items()]


def recipe(language: str) -> str:
    """The hash over everything that `petri/<language>` is made from, but the distribution's packages.

    Those are fetched anew by a forced build only: a security update of the distribution makes no image outdated.
    """
    return key(
        language,
        architecture(),
        *agent_sources(),
        *worker_sources(language),
        *sorted(Path(__file__).parent.glob("*.py")),
        toolchains.go().version,
        toolchains.node().version if language == "node" else "",
        *environment_lines(language),
    )


def agent_sources() -> list[Path]:
    return _sources(RUNNERS / "agent")


def worker_sources(language: str) -> list[Path]:
    return _sources(RUNNERS / language)


def key(*parts: str | Path) -> str:
    """A hash over texts, and over files: their path below runners/, whether they are executable, their content."""
    digest = hashlib.sha256()
    for part in _parts(parts):
        digest.update(f"{len(part)}:".encode())
        digest.update(part)
    return digest.hexdigest()


def _parts(parts: Iterable[str | Path]) -> Iterable[bytes]:
    for part in parts:
        if isinstance(part, str):
            yield part.encode()
        else:
            yield str(part.relative_to(RUNNERS)).encode()
            yield b"x" if part.stat().st_mode & 0o100 else b"-"
            yield part.read_bytes()


def _sources(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.rglob("*") if path.is_file() and is_source(path.relative_to(directory)))


def is_source(path: Path) -> bool:
    """Does this file go into an image, rather than being a test or what running the sources left behind?"""
    return not (
        path.name.endswith(("_test.go", ".pyc"))
        or any(part.startswith(".") or part in ("__pycache__", "testdata") for part in path.parts)
    )
