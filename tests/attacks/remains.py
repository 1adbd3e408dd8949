"""What a container has on the host while it lives, and what of that is still there afterwards."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import docker

_PROC = Path("/proc")


@dataclass(frozen=True)
class Footprint:
    """One container's, taken while it lives."""

    container: str
    pid: int
    marks: frozenset[str]  # each of its mounts has one of these in its path
    cgroups: tuple[Path, ...]
    directory: Path  # where the engine keeps what it knows of it

    @classmethod
    def of(cls, engine: docker.DockerClient, container: str) -> Footprint:
        seen = engine.api.inspect_container(container)
        pid = seen["State"]["Pid"]
        layer = Path(seen["GraphDriver"]["Data"]["MergedDir"]).parent.name
        network = Path(seen["NetworkSettings"]["SandboxKey"]).name
        return cls(
            container, pid, frozenset({container, layer, network} - {""}), tuple(_cgroups(pid)),
            Path(seen["HostnamePath"]).parent,
        )  # fmt: skip

    def left(self, engine: docker.DockerClient) -> list[str]:
        """Whatever there still is, in words."""
        return [
            *(f"process {process} in its cgroup" for process in _processes_in(self.container)),
            *(f"its shim, process {process}" for process in _shims_of(self.container)),
            *(f"mount {mount}" for mount in _mounts() if any(mark in mount for mark in self.marks)),
            *(f"cgroup {cgroup}" for cgroup in self.cgroups if cgroup.exists()),
            *([f"directory {self.directory}"] if self.directory.exists() else []),
            *(["the container"] if _exists(engine, self.container) else []),
        ]

    def cgroup(self, controller: str) -> Path:
        """Its directory under a controller of version 1, or the one of version 2."""
        named = [path for path in self.cgroups if controller in path.parts[4].split(",")]
        return (named or [path for path in self.cgroups if (path / "cgroup.controllers").exists()])[0]


def _cgroups(pid: int) -> list[Path]:
    """Of a container's first process, under every hierarchy that is mounted here."""
    places: dict[str, Path] = {}
    for line in (_PROC / "self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        where = Path(fields.split(" ")[4])
        if kind == "cgroup":
            places |= dict.fromkeys(options.rpartition(" ")[2].split(","), where)
        elif kind == "cgroup2":
            places[""] = where
    found = []
    for line in (_PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        place = places.get(controllers.split(",")[0])
        if place is not None and path != "/" and ".." not in path:
            found.append(place / path.lstrip("/"))
    return sorted({path for path in found if path.is_dir()})


def _processes_in(container: str) -> list[str]:
    found = []
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if container in (process / "cgroup").read_text():
                found.append(process.name)
    return found


def _shims_of(container: str) -> list[str]:
    found = []
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(words[0]).name.startswith("containerd-shim") and container in words:
                found.append(process.name)
    return found


def _mounts() -> list[str]:
    return [line.split()[4] for line in (_PROC / "self/mountinfo").read_text().splitlines()]


def _exists(engine: docker.DockerClient, container: str) -> bool:
    """Asked as a list: it also tells of one that is on its way out, where looking at it may wait."""
    return bool(engine.api.containers(all=True, filters={"id": container}))


def host_facts(engine: docker.DockerClient) -> dict[str, str]:
    """What the results were observed on."""
    info, version = engine.info(), engine.version()
    parts = {part["Name"]: part["Version"] for part in version["Components"]}
    return {
        "engine": f"Docker {version['Version'].partition('+')[0]}",
        "containerd": parts.get("containerd", "?").partition("~")[0],
        "runtime": f"{info['DefaultRuntime']} {parts.get(info['DefaultRuntime'], '').partition('+')[0]}".strip(),
        "cgroup": f"v{info['CgroupVersion']}",
        "kernel": ".".join(info["KernelVersion"].split(".")[:2]),
        "architecture": info["Architecture"],
    }
