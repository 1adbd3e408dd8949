"""What each sandbox of the benchmark's pool holds of the machine: its cgroup, its processes, its shim."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.engine import Engine
from benchmarks.instance import POOL_NAME
from pool.cgroup import Cgroup, Hierarchy
from pool.container_config import LABEL_POOL


@dataclass(frozen=True, slots=True)
class Holding:
    """MiB. `charged`: what the kernel counts for the cgroup: `private` pages, `files` and caches, and `kernel`."""

    charged: float
    private: float
    files: float
    kernel: float
    processes_pss: float
    shim_rss: float
    shim_pss: float

    @property
    def together(self) -> float:
        return self.charged + self.shim_pss


@dataclass(frozen=True, slots=True)
class Held:
    """One running sandbox."""

    cgroup: Cgroup
    pids: tuple[int, ...]
    shim: int

    def cpu_seconds(self) -> float:
        """Of everything in it, by its cgroup's own count."""
        usage = self.cgroup.usage()
        if usage is None or usage.cpu_ns is None:
            raise LookupError(f"{self.cgroup} counts no processor time")
        return usage.cpu_ns / 1e9

    def shim_cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.shim)

    def memory(self) -> Holding:
        shim = processes.memory(self.shim)
        pss = sum(processes.memory(pid).pss for pid in self.pids)
        charged, private, files, kernel = _charged(self.cgroup)
        return Holding(charged, private, files, kernel, pss, shim.rss, shim.pss)


def of_the_pool() -> list[Held]:
    """Every running sandbox of the benchmark's Petri."""
    hierarchy = Hierarchy.of_this_host()
    found = []
    for container in Engine().labelled(f"{LABEL_POOL}={POOL_NAME}"):
        pid = container["State"]["Pid"]
        cgroup = Cgroup.of_container(container["Id"], pid, hierarchy)
        directory = cgroup.unified or cgroup.memory
        if directory is None:
            raise LookupError(f"{cgroup} counts no memory")
        pids = tuple(map(int, (directory / "cgroup.procs").read_text().split()))
        found.append(Held(cgroup, pids, processes.parent(pid)))
    return found


def _charged(cgroup: Cgroup) -> tuple[float, float, float, float]:
    """MiB: all, private pages, files, kernel."""
    directory = cgroup.unified or cgroup.memory
    assert directory is not None
    numbers = _numbers(directory / "memory.stat")
    if cgroup.unified is not None:
        charged = int((directory / "memory.current").read_text())
        return _mib(charged), _mib(numbers["anon"]), _mib(numbers["file"]), _mib(numbers["kernel"])
    charged = int((directory / "memory.usage_in_bytes").read_text())
    kernel = int((directory / "memory.kmem.usage_in_bytes").read_text())
    return _mib(charged), _mib(numbers["rss"]), _mib(numbers["cache"]), _mib(kernel)


def _numbers(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", file.read_text(), re.MULTILINE)}


def _mib(size: int) -> float:
    return size / (1 << 20)
