"""Gather what the checks judge: the kernel's files, the engine's answers, the packages. Nothing is judged here."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import grp
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petri.config import Config
from petri.doctor import tcp_api
from petri.doctor.packages import Package, installed
from pool.engine import EngineError
from pool.engine_api import Address, EngineApi

_ENGINE_TIMEOUT_S = 15.0
_SYSCTLS = (
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.io_uring_disabled",
    "kernel.io_uring_group",
    "kernel.kptr_restrict",
    "kernel.perf_event_paranoid",
    "kernel.seccomp.actions_avail",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "user.max_user_namespaces",
    "vm.overcommit_memory",
)
_FILES = ("/proc/swaps", "/etc/subuid", "/sys/kernel/mm/ksm/run", "/sys/devices/system/cpu/smt/active")
_GLOBS = ("sys/devices/system/cpu/vulnerabilities/*", "sys/block/dm-*/dm/uuid")
_DAEMONS = {"dockerd": "docker", "containerd": "containerd"}
_IO_URING_SETUP = 425  # the same number on every architecture


@dataclass(frozen=True, slots=True)
class Host:
    """This machine. A file that does not exist or cannot be read is not in `files`."""

    release: str
    files: Mapping[str, str]  # by path, without white space at the end
    has_io_uring: bool
    reboot_required: bool
    replaced: frozenset[str]  # components that run from a file since replaced or removed: upgraded, not restarted
    plain_apis: tuple[str, ...] = ()  # where an engine answers over TCP without TLS
    sees_all_ports: bool = True

    def sysctl(self, name: str) -> str | None:
        return self.files.get("/proc/sys/" + name.replace(".", "/"))

    def number(self, name: str) -> int | None:
        try:
            return int(self.sysctl(name) or "")
        except ValueError:
            return None


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
    security_options: tuple[str, ...]
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
            security_options=tuple(info.get("SecurityOptions") or ()),
            default_runtime=str(info.get("DefaultRuntime") or ""),
            live_restore=bool(info.get("LiveRestoreEnabled")),
            cgroup_version=str(info.get("CgroupVersion") or ""),
            kernel=str(info.get("KernelVersion") or ""),
            warnings=tuple(info.get("Warnings") or ()),
            socket=file,
        )

    def option(self, name: str) -> str | None:
        """One security option with its parameters (`name=seccomp,profile=builtin`), or None where it is off."""
        return next((one for one in self.security_options if one.split(",")[0] in (name, f"name={name}")), None)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """An engine together with the machine and the packages it comes from."""

    engine: Engine
    host: Host
    packages: tuple[Package, ...]
    uid_base: int = 0


def gather(config: Config) -> tuple[Host, EngineFacts | EngineError]:
    """Everything there is to judge; in place of the engine's facts, why it does not answer."""
    host = gather_host()
    try:
        engine = gather_engine(config.pool.docker_host)
    except EngineError as error:
        return host, error
    return host, EngineFacts(engine, host, installed(), config.pool.uid_base)


def gather_host(root: Path = Path("/")) -> Host:
    """`root`: where the machine's files are, for tests."""
    paths = [root / path.lstrip("/") for path in _FILES]
    paths += [root / "proc/sys" / name.replace(".", "/") for name in _SYSCTLS]
    paths += [path for glob in _GLOBS for path in sorted(root.glob(glob))]
    files = {}
    for path in paths:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            files[f"/{path.relative_to(root)}"] = path.read_text().rstrip()
    return Host(
        platform.release(),
        files,
        has_io_uring=_has_io_uring(),
        reboot_required=(root / "run/reboot-required").exists(),
        replaced=frozenset(_replaced(root / "proc")),
        plain_apis=tuple(tcp_api.plain_apis(root / "proc")),
        sees_all_ports=os.geteuid() == 0,
    )


def gather_engine(docker_host: str) -> Engine:
    """Raises `EngineError` when the engine does not answer."""
    address = Address.of(docker_host)
    api, version = EngineApi.connect(address, _ENGINE_TIMEOUT_S)
    with api.connection(_ENGINE_TIMEOUT_S) as connection:
        info = connection.get("info")
    return Engine.of(address, version, info, socket_file(address))


def socket_file(address: Address) -> SocketFile | None:
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


def _replaced(proc: Path) -> Iterator[str]:
    for comm in proc.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            name = comm.read_text().strip()
            if name in _DAEMONS and str(comm.with_name("exe").readlink()).endswith(" (deleted)"):
                yield _DAEMONS[name]


def _has_io_uring() -> bool:
    """Whether this kernel was built with io_uring: a call with nothing in it fails otherwise where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_IO_URING_SETUP, 0, None)
    return ctypes.get_errno() != errno.ENOSYS
