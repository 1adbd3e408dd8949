"""Gather what the checks of the machine judge: the kernel's files and the engine's processes."""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from petri.doctor.daemons import Daemons, look_at_daemons
from petri.doctor.finding import Unreadable


def _of_sysctl(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


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
#: What is gathered of every machine.
PATHS = (
    "/proc/swaps",
    "/etc/subuid",
    "/run/reboot-required",
    "/sys/kernel/mm/ksm/run",
    "/sys/devices/system/cpu/smt/active",
    *(_of_sysctl(name) for name in _SYSCTLS),
)
#: And these, where there are any.
_GLOBS = ("/sys/devices/system/cpu/vulnerabilities/*", "/sys/block/dm-*/dm/uuid")
#: In every kernel: where it is not there, the tree is not mounted, and that a file in it is missing says nothing.
_LANDMARKS = {"proc": "proc/sys/kernel", "sys": "sys/kernel"}
_IO_URING_SETUP = 425  # the same number on every architecture


@dataclass(frozen=True, slots=True)
class Host:
    """This machine. What does not exist is kept apart from what could not be read."""

    release: str
    files: Mapping[str, str | None]  # by path, without white space at the end; None: the kernel has no such file
    unreadable: Mapping[str, str]  # path -> why it could not be read
    has_io_uring: bool
    daemons: Daemons = field(default_factory=Daemons)

    def read(self, path: str) -> str | None:
        """What the file says; None where it does not exist.

        Raises `Unreadable`, and `KeyError` for a file that is not gathered: a forgotten one must not pass for absent.
        """
        if path in self.unreadable:
            raise Unreadable(f"{path}: {self.unreadable[path]}")
        return self.files[path]

    def below(self, directory: str) -> dict[str, str]:
        """What the gathered files of a directory say, by name. Raises `Unreadable` if one cannot be read."""
        paths = [path for path in (*self.files, *self.unreadable) if path.startswith(directory + "/")]
        return {path.removeprefix(directory + "/"): self.read(path) or "" for path in paths}

    def sysctl(self, name: str) -> str | None:
        """As `read`."""
        return self.read(_of_sysctl(name))

    def number(self, name: str) -> int | None:
        """A sysctl's; as `read`, and what is not a number is unreadable."""
        if (text := self.sysctl(name)) is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise Unreadable(f"{name} = {text!r}, which is no number") from None


def gather_host(root: Path = Path("/")) -> Host:
    """`root`: where the machine's files are, for tests."""
    found = [f"/{path.relative_to(root)}" for glob in _GLOBS for path in sorted(root.glob(glob.lstrip("/")))]
    files: dict[str, str | None] = {}
    unreadable = {}
    for path in (*PATHS, *found):
        try:
            files[path] = _read(root, path)
        except (OSError, UnicodeDecodeError) as error:
            unreadable[path] = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Host(platform.release(), files, unreadable, _has_io_uring(), look_at_daemons(root / "proc"))


def _read(root: Path, path: str) -> str | None:
    try:
        return (root / path.lstrip("/")).read_text().rstrip()
    except FileNotFoundError:
        landmark = _LANDMARKS.get(path.split("/")[1])
        if landmark is None or (root / landmark).is_dir():
            return None
        raise OSError(errno.ENOENT, f"/{landmark} is not there either: not mounted, or hidden") from None


def _has_io_uring() -> bool:
    """Whether this kernel was built with io_uring: a call with nothing in it fails otherwise where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_IO_URING_SETUP, 0, None)
    return ctypes.get_errno() != errno.ENOSYS
