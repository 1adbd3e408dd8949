"""Gather what the checks judge: the machine, the engine's answers, the packages. Nothing is judged here."""

from __future__ import annotations

import grp
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from petri.config import Config
from petri.doctor.finding import Unreadable
from petri.doctor.host_facts import Host, gather_host
from petri.doctor.packages import Package, installed
from pool.engine import EngineError
from pool.engine_api import Address, EngineApi

_ENGINE_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the engine as the engine names it; the commit is the package's version in some distributions."""

    version: str
    commit: str


@dataclass(frozen=True, slots=True)
class SocketFile:
    path: str
    mode: int
    group: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """What the engine says of itself, and where it listens."""

    address: Address
    components: Mapping[str, Component]  # docker, containerd, runc
    security_options: tuple[str, ...] | None  # None: not stated
    default_runtime: str
    live_restore: bool
    cgroup_version: str
    kernel: str
    warnings: tuple[str, ...]
    socket: SocketFile | None = None

    @classmethod
    def of(
        cls, address: Address, version: dict[str, Any], info: dict[str, Any], file: SocketFile | None = None
    ) -> Engine:
        """From the answers to /version and /info."""
        components = {
            str(one.get("Name", "")).lower(): Component(
                str(one.get("Version") or ""), str((one.get("Details") or {}).get("GitCommit") or "")
            )
            for one in version.get("Components") or ()
        }
        if "engine" in components:
            components["docker"] = components.pop("engine")
        return cls(
            address,
            components,
            security_options=tuple(info["SecurityOptions"] or ()) if "SecurityOptions" in info else None,
            default_runtime=str(info.get("DefaultRuntime") or ""),
            live_restore=bool(info.get("LiveRestoreEnabled")),
            cgroup_version=str(info.get("CgroupVersion") or ""),
            kernel=str(info.get("KernelVersion") or ""),
            warnings=tuple(info.get("Warnings") or ()),
            socket=file,
        )

    def option(self, name: str) -> str | None:
        """One security option with its parameters (`name=seccomp,profile=builtin`), or None where it is off."""
        if self.security_options is None:
            raise Unreadable("the engine does not state its security options")
        return next((one for one in self.security_options if one.split(",")[0] in (name, f"name={name}")), None)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """An engine together with the machine and the packages it comes from."""

    engine: Engine
    host: Host
    packages: tuple[Package, ...]
    uid_base: int = 0
    runtimes: frozenset[str] = frozenset()  # that the templates name; empty among them: the engine's own choice


def gather(config: Config) -> tuple[Host, EngineFacts | EngineError]:
    """Everything there is to judge; in place of the engine's facts, why it does not answer."""
    host = gather_host()
    try:
        engine = gather_engine(config.pool.docker_host)
    except EngineError as error:
        return host, error
    named = frozenset(template.runtime for template in config.templates)
    return host, EngineFacts(engine, host, installed(), config.pool.uid_base, named)


def gather_engine(docker_host: str) -> Engine:
    """Raises `EngineError` when the engine does not answer."""
    address = Address.of(docker_host)
    version, info = anyio.run(_version_and_info, address)
    return Engine.of(address, version, info, socket_file(address))


async def _version_and_info(address: Address) -> tuple[dict[str, Any], dict[str, Any]]:
    api, version = await EngineApi.connect(address, _ENGINE_TIMEOUT_S)
    with api.connection(_ENGINE_TIMEOUT_S) as connection:
        return version, await connection.get("info")


def socket_file(address: Address) -> SocketFile | None:
    """None where there is none, or where it cannot be looked at."""
    if not address.is_local:
        return None
    path = address.url.removeprefix("unix://")
    try:
        status = Path(path).stat()
    except OSError:
        return None
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return SocketFile(path, stat.S_IMODE(status.st_mode), str(status.st_gid), ())
    return SocketFile(path, stat.S_IMODE(status.st_mode), group.gr_name, tuple(group.gr_mem))
