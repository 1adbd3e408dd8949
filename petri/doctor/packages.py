"""Which distribution packages an engine comes from, and which holes their changelogs say they fix.

Distributions keep an old version number and add the fix: the number alone would call a patched runc vulnerable.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Component -> the packages that may bring it, the distributions' own names first.
PACKAGES = {
    "docker": ("docker.io", "docker-ce", "moby-engine", "docker"),
    "containerd": ("containerd", "containerd.io", "moby-containerd"),
    "runc": ("runc", "containerd.io", "moby-runc"),
}
_ASK_S = 10.0
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
#: A line about taking a fix out again, or about a hole that came back: its numbers are not fixed by it.
_WITHDRAWN = re.compile(r"\b(revert|drop|disable|re-?introduc|not fix|unfixed|still vulnerable)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package. `fixed` is None where its changelog cannot be read."""

    name: str
    version: str
    fixed: frozenset[str] | None

    def brings(self, version: str, commit: str) -> bool:
        """Whether what the engine says of a component is this package's build, and not a binary from elsewhere.

        Debian's builds have the package's version as their commit; an engine only has its beginning.
        """
        own = self.version.partition(":")[2] or self.version
        return own in (version, commit) or own.startswith(f"{version}-")


def installed(root: Path = Path("/")) -> tuple[Package, ...]:
    """Those packages that this machine's package database knows, Debian's or RPM's."""
    names = sorted({name for names in PACKAGES.values() for name in names})
    debian = _ask("dpkg-query", "--show", "--showformat", r"${Package} ${Version} ${db:Status-Abbrev}\n", *names)
    found = [
        Package(name, version, _debian_changelog(root / "usr/share/doc" / name)) for name, version in parse_dpkg(debian)
    ]
    if not found:
        rpm = _ask("rpm", "--query", "--queryformat", r"%{NAME} %{VERSION}-%{RELEASE}\n", *names)
        found = [
            Package(name, version, fixed_by(_ask("rpm", "--query", "--changelog", name)))
            for name, version in parse_rpm(rpm)
        ]
    return tuple(found)


def parse_dpkg(text: str) -> list[tuple[str, str]]:
    """Name and version of what is installed, not merely known or left as configuration."""
    rows = [line.split() for line in text.splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) == 3 and row[2].startswith("ii")]


def parse_rpm(text: str) -> list[tuple[str, str]]:
    rows = [line.split() for line in text.splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) == 2]  # "package runc is not installed" has more words


def fixed_by(changelog: str) -> frozenset[str]:
    """The CVEs that a changelog, newest entry first, names as fixed and not as open again later."""
    fixed: set[str] = set()
    for line in reversed(changelog.splitlines()):
        if _WITHDRAWN.search(line):
            fixed.difference_update(_CVE.findall(line))
        else:
            fixed.update(_CVE.findall(line))
    return frozenset(fixed)


def _debian_changelog(directory: Path) -> frozenset[str] | None:
    """Images of containers and clouds often leave documentation out."""
    for name in ("changelog.Debian.gz", "changelog.gz"):
        try:
            return fixed_by(gzip.decompress((directory / name).read_bytes()).decode(errors="replace"))
        except (OSError, EOFError):
            continue
    return None


def _ask(*command: str) -> str:
    """What a package tool says; nothing where it is missing. It fails if one of several names is unknown: no matter."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_ASK_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def of_component(packages: Iterable[Package], component: str, version: str, commit: str) -> Package | None:
    """The package that the running component was built as, if one is."""
    for package in packages:
        if package.name in PACKAGES[component] and package.brings(version, commit):
            return package
    return None
