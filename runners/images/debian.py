"""Make root file systems from the distribution's own packages, by the machine's own apt configuration, without Docker.

Only what the distribution itself publishes is used. A third-party source on the machine neither leaks packages into an
image nor, when it is out of reach, stops a build.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runners.images.steps import BuildError, Steps

#: The smallest system that every image shares. Essential packages (libc, shell, coreutils), then certificates and time
#: zones, which programs expect, the names of ports and protocols, and the C++ library, which Node is linked to.
BASE_PACKAGES = ("ca-certificates", "libstdc++6", "netbase", "tzdata")
PYTHON_PACKAGES = ("python3",)  # the whole standard library but distutils, lib2to3 and tkinter

#: What nobody reads in a sandbox. Licences stay.
_DPKG_OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)

_ORIGINS = {"debian": "Debian", "ubuntu": "Ubuntu"}
_KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
#: Suites of one release, by what follows its name: those, and not what most of its users do not run.
_SUITES = ("", "-updates", "-security")
_OTHER_SUITES = ("-backports", "-backports-sloppy", "-proposed", "-proposed-updates")

#: Settings of the machine's apt that say how to reach a mirror, proxy included, are taken over. These are not: they
#: choose what else to download.
_NOT_TAKEN_OVER = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::GzipIndexes", "Acquire::CompressionTypes")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Debian or Ubuntu, in the release this machine runs."""

    name: str  # debian
    codename: str  # bookworm

    def __str__(self) -> str:
        return f"{self.name.capitalize()} {self.codename}"


def this_machine() -> Distribution:
    """What this machine runs; `BuildError` where that is neither Debian nor Ubuntu."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    name, codename = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    if name not in _ORIGINS or not codename or shutil.which("apt-get") is None:
        raise BuildError(
            f"a base image can be made here only from Debian's or Ubuntu's packages, and this is "
            f"{release.get('PRETTY_NAME', 'an unknown system')}; give the engine access to a registry instead, "
            "or load the official images into it and set PETRI_BASE=official"
        )
    return Distribution(name, codename)


def make_root(steps: Steps, distribution: Distribution, packages: Sequence[str], work: Path) -> Path:
    """A tar of a root file system with `packages` and what they need, in `work`."""
    _ensure_mmdebstrap(steps)
    sources = work / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in _sources(steps, distribution)))
    options = work / "apt.conf"
    options.write_text(_apt_options())
    root = work / "root.tar"
    argv = [
        "mmdebstrap",
        "--variant=essential",
        "--format=tar",
        f"--include={','.join(packages)}",
        f"--aptopt={options}",
        *(f"--dpkgopt={option}" for option in _DPKG_OPTIONS),
    ]
    # Without it, a package that merges /bin into /usr brings all of Perl: 50 MB that nothing uses.
    merged = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
    if merged.is_dir():
        argv.append(f"--hook-dir={merged}")
    argv += [distribution.codename, str(root), str(sources)]
    env = {
        "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "HOME": os.environ.get("HOME", "/"),
        # Where the tree grows: gone with `work`, whatever happens. Another user than root needs one that the users of
        # its namespace can reach.
        **({"TMPDIR": str(work)} if os.geteuid() == 0 else {}),
        # Not earlier: files newer than this get this time, and Python would take its compiled modules for outdated.
        "SOURCE_DATE_EPOCH": str(int(time.time())),
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
    }
    steps.run([*_cage(), *argv], env=env)
    return root


def _cage() -> list[str]:
    """A prefix that gives a command its own mounts and processes, which end with it even when it is killed."""
    if os.geteuid() != 0:
        return []  # mmdebstrap then makes itself a user namespace
    return ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _ensure_mmdebstrap(steps: Steps) -> None:
    if shutil.which("mmdebstrap"):
        return
    if os.geteuid() != 0:
        raise BuildError("mmdebstrap is missing; sudo apt-get install mmdebstrap")
    apt_get = ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt_get, "install", "--no-install-recommends", "mmdebstrap"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        steps.run(install, env=env)
    except BuildError:
        _update(steps)
        steps.run(install, env=env)


def _update(steps: Steps) -> None:
    # A third-party source that is out of reach fails this command after the distribution's own lists have arrived.
    try:
        steps.run(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "update"])
    except BuildError as error:
        steps.say(f"going on without: {error}")


def _sources(steps: Steps, distribution: Distribution) -> list[str]:
    """One-line apt sources: the machine's own, as far as the distribution itself is behind them."""
    lines = _published(distribution)
    if not lines and os.geteuid() == 0:
        _update(steps)
        lines = _published(distribution)
    if not lines:
        raise BuildError(
            f"apt on this machine knows no package list that {_ORIGINS[distribution.name]} published for "
            f"{distribution.codename}; run apt-get update, and look into /etc/apt/sources.list.d"
        )
    return lines


def _published(distribution: Distribution) -> list[str]:
    wanted = {distribution.codename + suite for suite in _SUITES}
    fields = "$(ORIGIN)\t$(CODENAME)\t$(ARCHITECTURE)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(SOURCESENTRY)"
    native = _output("dpkg", "--print-architecture").strip()
    repositories: dict[tuple[str, str, str], list[str]] = {}
    for line in _output("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        origin, codename, architecture, uri, release, component, entry = line.split("\t")
        if origin != _ORIGINS[distribution.name] or architecture not in (native, "all"):
            continue
        if codename in wanted and not release.endswith(_OTHER_SUITES):
            components = repositories.setdefault((uri, release, entry), [])
            if component not in components:
                components.append(component)
    return [
        f"deb [{_trust(distribution, entry)}] {uri} {release} {' '.join(components)}"
        for (uri, release, entry), components in repositories.items()
    ]


def _trust(distribution: Distribution, entry: str) -> str:
    """How the machine's apt checks the source at `entry` (file:number); else by the distribution's key."""
    options = _options_of(entry)
    if options.get("trusted") == "yes":
        return "trusted=yes"
    signed_by = options.get("signed-by", "")
    # A key written into the source itself, or a fingerprint, is left to the distribution's keyring.
    return f"signed-by={signed_by if signed_by.startswith('/') else _KEYRINGS[distribution.name]}"


def _options_of(entry: str) -> dict[str, str]:
    name, _, number = entry.rpartition(":")
    try:
        text = Path(name).read_text(errors="replace")
        if name.endswith(".sources"):
            stanzas = [part for part in _stanzas(text) if part]
            return stanzas[int(number) - 1]
        line = text.splitlines()[int(number) - 1]
    except (OSError, ValueError, IndexError):
        return {}
    if "[" not in line:
        return {}
    pairs = line[line.index("[") + 1 : line.index("]")].split()
    return {key.lower(): value for key, _, value in (pair.partition("=") for pair in pairs)}


def _stanzas(text: str) -> list[dict[str, str]]:
    stanzas: list[dict[str, str]] = [{}]
    for line in text.splitlines():
        if not line.strip():
            stanzas.append({})
        elif not line.startswith(("#", " ", "\t")) and ":" in line:
            key, _, value = line.partition(":")
            stanzas[-1][key.strip().lower()] = value.strip()
    return stanzas


def _apt_options() -> str:
    lines = [
        line
        for line in _output("apt-config", "dump").splitlines()
        if line.startswith("Acquire::") and not line.startswith(_NOT_TAKEN_OVER)
    ]
    return "\n".join([*lines, 'Acquire::Languages "none";', 'Acquire::Retries "3";', ""])


def _output(*argv: str) -> str:
    finished = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if finished.returncode:
        raise BuildError(f"{' '.join(argv[:2])} ended with status {finished.returncode}: {finished.stderr.strip()}")
    return finished.stdout
