"""What the program in the sandbox says it saw, one model for each probe. runners/agent/selfcheck says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

#: As long as any that is expected; whatever else is said here ends up on a person's screen.
_Text = Annotated[str, Field(max_length=4096)]


class _Observed(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Line(_Observed):
    """One line of its output."""

    probe: _Text
    observed: Any = None
    error: _Text = ""


class Identity(_Observed):
    uids: list[_Text]  # real, effective, saved, of file systems
    gids: list[_Text]
    groups: list[int]


class Names(_Observed):
    host: _Text
    domain: _Text
    resolvers: list[_Text]


class Confinement(_Observed):
    no_new_privileges: _Text
    seccomp_mode: _Text
    security_label: _Text


class Network(_Observed):
    interfaces: list[_Text]
    routes: list[_Text]  # devices that a route leads to, but for lo
    connect: dict[_Text, _Text]  # to the outside: what was said at once


class Mount(_Observed):
    path: _Text
    kind: _Text
    read_only: bool
    null: bool  # the null device, which is how files are hidden


class FileSystem(_Observed):
    bytes: int
    files: int
    nosuid: bool
    nodev: bool
    noexec: bool
    owner: int


class FirstProcess(_Observed):
    name: _Text
    files_owner: int  # of its files in /proc: root's when it is not dumpable
    open: dict[_Text, _Text]


class Process(_Observed):
    pid: int
    name: _Text
    uid: _Text


class Ceilings(_Observed):
    """In the words of the cgroup's version. None: not to be seen."""

    version: Literal[1, 2]
    host_swap_kib: int
    memory: _Text | None
    swap: _Text | None  # version 1: with memory; version 2: alone
    pids: _Text | None
    cpu: _Text | None  # quota and period


class Words(RootModel[list[_Text]]):
    model_config = ConfigDict(frozen=True, strict=True)


class Said(RootModel[dict[_Text, _Text]]):
    model_config = ConfigDict(frozen=True, strict=True)


class Mounts(RootModel[list[Mount]]):
    model_config = ConfigDict(frozen=True, strict=True)


class FileSystems(RootModel[dict[_Text, FileSystem]]):
    model_config = ConfigDict(frozen=True, strict=True)


class Processes(RootModel[list[Process]]):
    model_config = ConfigDict(frozen=True, strict=True)


class Limits(RootModel[dict[_Text, tuple[int, int]]]):
    # Pydantic's strict mode takes no JSON list for a tuple when it was parsed before.
    model_config = ConfigDict(frozen=True)
