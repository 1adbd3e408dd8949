"""What of a container's configuration costs a boot something: one change each to what Petri asks of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any]], None]

AS_IT_IS = "as Petri boots"


def walls(**changed: object) -> Change:
    """Other values in the host's part of the configuration; None takes one away."""

    def change(config: dict[str, Any]) -> None:
        for name, value in changed.items():
            if value is None:
                del config["HostConfig"][name]
            else:
                config["HostConfig"][name] = value

    return change


def with_the_engines_network(config: dict[str, Any]) -> None:
    config["NetworkDisabled"] = False  # still none but the loopback interface: the engine's own way to it


def with_one_tmpfs(config: dict[str, Any]) -> None:
    config["HostConfig"]["Tmpfs"] = {"/workspace": config["HostConfig"]["Tmpfs"]["/workspace"]}


_UNFILTERED = ["no-new-privileges:true", "seccomp=unconfined"]
_ENGINES_FILTER = ["no-new-privileges:true"]

#: By name: the change, and what a sandbox would lose by it.
OPTIONS: dict[str, tuple[Change, str]] = {
    AS_IT_IS: (walls(), ""),
    "filter of system calls: the engine's": (walls(SecurityOpt=_ENGINES_FILTER), "what docs/seccomp.md says"),
    "no filter of system calls": (walls(SecurityOpt=_UNFILTERED), "a wall"),
    "masked paths: the engine's": (walls(MaskedPaths=None), "what the host's /proc and /sys tell stays readable"),
    "no masked paths": (walls(MaskedPaths=[]), "the same, and the engine's few"),
    "one tmpfs instead of three": (with_one_tmpfs, "/tmp, and the limit to files in /dev/shm"),
    "the engine's network none": (with_the_engines_network, "nothing; it is what costs"),
    "the engine's /dev/shm and IPC": (walls(IpcMode="private"), "the limit to files in /dev/shm"),
    "a log of what is written": (
        walls(LogConfig={"Type": "json-file", "Config": {}}),
        "no code on the disk",
    ),
    "the host's cgroup namespace": (walls(CgroupnsMode="host"), "its place among the host's cgroups stays hidden"),
    "no limits to processors and tasks": (walls(NanoCpus=0, PidsLimit=0), "two limits"),
    "a small share in the processors": (walls(CpuShares=256), "nothing; raised when it is ready, as Petri does"),
}
