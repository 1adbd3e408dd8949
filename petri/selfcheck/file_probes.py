"""The part of the table that is about files: what is mounted, what can be written, what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from petri.selfcheck import observed as seen
from petri.selfcheck.circumstances import Circumstances
from petri.selfcheck.probe import Probe, probe
from pool.container_config import most_files
from pool.runtimes import GVISOR
from pool.template import SHM_MIB

_MIB = 1 << 20

#: The places to write, each in memory.
WRITABLE = ("/workspace", "/tmp", "/dev/shm")
#: Places of every image and every engine where somebody might be able to write if a wall were missing.
TRIED = ("/", "/etc", "/usr", "/usr/local/bin", "/opt/petri", "/root", "/run", "/var/tmp", "/dev", "/proc", "/sys")
#: File systems that are to be read-only. A kernel need not have the last two.
FIXED = ("/", "/proc/sys", "/sys", "/proc/sysrq-trigger", "/proc/irq")
#: Where the services of a host listen that can do anything there.
SERVICES = tuple(
    f"{directory}/{name}"
    for directory in ("/run", "/var/run")
    for name in ("docker.sock", "containerd/containerd.sock", "podman/podman.sock", "crio/crio.sock", "systemd/private")
)
DEVICE_DIRECTORIES = ("/dev",)

#: What an engine mounts in every container: the kernel's own file systems.
_KERNELS = {
    "/proc": "proc",
    "/dev": "tmpfs",
    "/dev/pts": "devpts",
    "/dev/mqueue": "mqueue",
    "/sys": "sysfs",
    "/sys/fs/cgroup": "tmpfs",  # of version 1; the controllers are below
}
#: Files of an engine's that tell of the sandbox itself; to be read only.
_ENGINES_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
_DEVICES = {f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero", "pts/ptmx", "ptmx")}
#: Made by gVisor itself, of its own file systems in user space and its own network, which has no way out.
_DEVICES_OF_GVISOR = {"/dev/fuse", "/dev/net/tun"}


@probe("mounts", seen.Mounts, expected="the image, the kernel's file systems, three places to write, and nothing else")
def mounts(found: seen.Mounts, circumstances: Circumstances) -> Iterator[str]:
    for one in found.root:
        if not _is_known(one, circumstances):
            yield f"{one.path} ({one.kind}, {'read-only' if one.read_only else 'writable'})"


def _is_known(one: seen.Mount, circumstances: Circumstances) -> bool:
    if one.path in WRITABLE:
        return one.kind == "tmpfs"
    if one.path in ("/", *_ENGINES_FILES):
        return one.read_only
    if _KERNELS.get(one.path) == one.kind:
        return True
    if one.path.startswith("/sys/fs/cgroup"):
        return one.kind in ("cgroup", "cgroup2") and one.read_only
    if one.path.startswith(("/proc/", "/sys/")) or one.path in circumstances.hidden:
        # What is hidden, by us or the engine; and parts of /proc, mounted once more so as to be read-only.
        return one.null or (one.kind in ("tmpfs", "proc") and one.read_only)
    return False


@probe(
    "read-only",
    seen.Said,
    expected="the image's files and the kernel's settings",
    not_under={GVISOR: "gVisor tells no file system's flags, and its settings are the sandbox's own; see `mounts`"},
)
def read_only(found: seen.Said, circumstances: Circumstances) -> Iterator[str]:
    for path in FIXED:
        if (said := found.root.get(path, "not told")) not in ("read-only", "absent"):
            yield f"{path} is {said}"


@probe("writable", seen.Words, expected=f"{', '.join(WRITABLE)}, and nowhere else")
def writable(found: seen.Words, circumstances: Circumstances) -> Iterator[str]:
    if more := set(found.root) - set(WRITABLE):
        yield f"{', '.join(sorted(more))}, too"
    if less := set(WRITABLE) - set(found.root):
        yield f"not {', '.join(sorted(less))}"


@probe("file-systems", seen.FileSystems, expected="bytes and files as configured; nothing setuid, no devices")
def file_systems(found: seen.FileSystems, circumstances: Circumstances) -> Iterator[str]:
    template = circumstances.template
    for path, mib in (("/workspace", template.workdir_mib), ("/tmp", template.tmp_mib), ("/dev/shm", SHM_MIB)):
        one = found.root.get(path)
        if one is None:
            yield f"{path}: not told"
            continue
        if one.bytes != mib * _MIB:
            yield f"{path} has {one.bytes} bytes instead of {mib * _MIB}"
        if one.owner != circumstances.uid:
            yield f"{path} is user {one.owner}'s"
        if circumstances.own_kernel:
            continue  # gVisor counts no files, and shows no flags; a file's own memory counts against the sandbox's
        if one.files != most_files(mib):
            yield f"{path} has {one.files} files instead of {most_files(mib)}"
        if not (one.nosuid and one.nodev):
            yield f"{path} lets setuid programs or devices be"
        if path == "/dev/shm" and not one.noexec:
            yield f"{path} lets programs be run"


@probe(
    "hidden",
    seen.Words,
    expected="nothing of what tells of the host",
    not_under={GVISOR: "gVisor's /proc and /sys tell of its own kernel, not of the host's"},
)
def hidden(found: seen.Words, circumstances: Circumstances) -> Iterator[str]:
    if found.root:
        more = f" and {len(found.root) - 8} more" if len(found.root) > 8 else ""
        yield f"{', '.join(found.root[:8])}{more}"


@probe("devices", seen.Words, expected="null, zero, full, random, urandom and terminals")
def devices(found: seen.Words, circumstances: Circumstances) -> Iterator[str]:
    known = _DEVICES | _DEVICES_OF_GVISOR if circumstances.own_kernel else _DEVICES
    if more := {path for path in found.root if path not in known}:
        yield f"{', '.join(sorted(more)[:8])}"


@probe("sockets", seen.Words, expected="none of the host's services")
def sockets(found: seen.Words, circumstances: Circumstances) -> Iterator[str]:
    if found.root:
        yield f"{', '.join(found.root)}"


FILE_PROBES: tuple[Probe[Any], ...] = (mounts, read_only, writable, file_systems, hidden, devices, sockets)
