"""Find a container's cgroup, version 1 or 2, and read the kernel's own counters for it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from pool.engine import Usage


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where this host has its cgroups mounted. A v1 controller that is not mounted is None."""

    unified: Path | None  # version 2, where it has the controllers
    freezer: Path | None
    memory: Path | None
    cpuacct: Path | None
    cpu: Path | None = None

    @classmethod
    def of_this_host(cls, mountinfo: Path = Path("/proc/self/mountinfo")) -> Hierarchy:
        """From the mount table, which also shows what a container that runs Petri can see."""
        v1: dict[str, Path] = {}
        unified: Path | None = None
        for line in mountinfo.read_text().splitlines():
            fields, _, tail = line.partition(" - ")
            kind, _, options = tail.split(" ", 2)
            where = Path(fields.split(" ")[4])
            if kind == "cgroup":
                for option in options.rpartition(" ")[2].split(","):
                    v1.setdefault(option, where)
            elif kind == "cgroup2" and unified is None:
                unified = where
        if unified is not None and not _has_memory_controller(unified):
            unified = None  # the hybrid layout: version 2 is mounted, and version 1 has the controllers
        return cls(unified, v1.get("freezer"), v1.get("memory"), v1.get("cpuacct"), v1.get("cpu"))

    @property
    def version(self) -> int | None:
        """1 or 2; None where neither can freeze."""
        if self.freezer is not None:
            return 1
        return 2 if self.unified is not None else None

    @property
    def weighs(self) -> bool:
        """Whether containers' shares in the processors can be changed."""
        return self.cpu is not None or self.unified is not None


def _has_memory_controller(root: Path) -> bool:
    try:
        return "memory" in (root / "cgroup.controllers").read_text().split()
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One container's directories. Those that this process cannot see are None."""

    unified: Path | None
    freezer: Path | None
    memory: Path | None
    cpuacct: Path | None
    cpu: Path | None = None

    @property
    def counts_memory(self) -> bool:
        """True where there was something to count by when the container started."""
        return self.unified is not None or self.memory is not None

    @classmethod
    def of_container(cls, container_id: str, pid: int, hierarchy: Hierarchy, proc: Path = Path("/proc")) -> Cgroup:
        """Of the container whose first process is, or was, `pid`. Raises OSError when it is not there any more."""
        paths: dict[str, str] = {}
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                paths[controller] = path
        if not any(container_id in path for path in paths.values()):
            raise ProcessLookupError(errno.ESRCH, f"process {pid} is another one now")

        def directory(root: Path | None, controller: str) -> Path | None:
            path = paths.get(controller)
            if root is None or path is None or ".." in path:
                return None
            found = root / path.lstrip("/")
            return found if found.is_dir() else None

        return cls(
            unified=directory(hierarchy.unified, ""),
            freezer=directory(hierarchy.freezer, "freezer"),
            memory=directory(hierarchy.memory, "memory"),
            cpuacct=directory(hierarchy.cpuacct, "cpuacct"),
            cpu=directory(hierarchy.cpu, "cpu"),
        )

    def of_sibling(self, own_id: str, container_id: str) -> tuple[Cgroup, int] | None:
        """The cgroup of another container of the same engine, by the form of this one's paths, and its first process.

        None when it is not to be found that way, or has no process yet.
        """

        def moved(path: Path | None) -> Path | None:
            return None if path is None else Path(str(path).replace(own_id, container_id))

        found = Cgroup(*map(moved, (self.unified, self.freezer, self.memory, self.cpuacct, self.cpu)))
        place = found.freezer or found.unified
        if place is None or container_id not in place.name:
            return None
        try:
            processes = (place / "cgroup.procs").read_text().split()
        except OSError:
            return None
        return (found, int(processes[0])) if processes else None

    def end_all(self) -> int:
        """Kill every process in it, frozen ones too. How many there were."""
        place = self.freezer or self.unified
        if place is None:
            return 0
        if self.freezer is not None:
            with contextlib.suppress(OSError):
                (place / "freezer.state").write_text("THAWED")  # version 1 lets no frozen process die
        processes = _processes(place)
        for pid in processes:
            with contextlib.suppress(OSError):
                process = os.pidfd_open(pid)
                try:
                    if pid in _processes(place):  # else the number is another's by now
                        signal.pidfd_send_signal(process, signal.SIGKILL)
                finally:
                    os.close(process)
        return len(processes)

    def bound_sockets(self, size: int) -> None:
        """Bytes that network sockets may buffer. Raises OSError where this process may not.

        Version 1 counts them apart from the rest of the memory, and without a limit not at all: a guest could fill the
        host's with datagrams to itself. Version 2 counts them with the rest.
        """
        limit = self.memory / "memory.kmem.tcp.limit_in_bytes" if self.memory is not None else None
        if limit is not None and limit.exists():
            limit.write_text(str(size))

    def weigh_as_any_other(self) -> None:
        """Set the share in the processors, when there are too few, to the kernel's own default.

        Raises OSError where this process may not.
        """
        if self.cpu is not None:
            (self.cpu / "cpu.shares").write_text("1024")
        elif self.unified is not None:
            (self.unified / "cpu.weight").write_text("100")
        else:
            raise FileNotFoundError(errno.ENOENT, "no cgroup that shares processors")

    def usage(self) -> Usage | None:
        """What the kernel counted so far; None where it cannot be seen, or is gone together with the last process."""
        if self.unified is not None:
            oom_kills = _named_number(self.unified / "memory.events", "oom_kill")
        elif self.memory is not None:
            oom_kills = _named_number(self.memory / "memory.oom_control", "oom_kill")
        else:
            oom_kills = None
        if oom_kills is None:
            return None
        if self.unified is not None:
            return Usage(
                oom_kills=oom_kills,
                memory_peak_bytes=_number(self.unified / "memory.peak"),
                cpu_ns=_times_1000(_named_number(self.unified / "cpu.stat", "usage_usec")),
            )
        return Usage(
            oom_kills=oom_kills,
            memory_peak_bytes=_number(self.memory / "memory.max_usage_in_bytes") if self.memory else None,
            cpu_ns=_number(self.cpuacct / "cpuacct.usage") if self.cpuacct else None,
        )


def _processes(place: Path) -> list[int]:
    try:
        return [int(pid) for pid in (place / "cgroup.procs").read_text().split()]
    except OSError:
        return []


#: Of a container whose processes this one cannot see.
UNSEEN = Cgroup(None, None, None, None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _named_number(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return None


def _times_1000(number: int | None) -> int | None:
    return None if number is None else 1000 * number
