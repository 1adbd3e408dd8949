"""The machine that measures, in words, and how busy it is with other things."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path


def machine() -> str:
    """The machine, in a line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {model}, {total_memory_mib() / 1024:.0f} GiB, Linux {platform.release()}"


def total_memory_mib() -> float:
    return _meminfo("MemTotal")


def available_memory_mib() -> float:
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def busy_share(seconds: float = 3.0) -> float:
    """Share of the processors that something used while this process slept. Stolen time counts."""
    before = _ticks()
    time.sleep(seconds)
    spent = [after - earlier for earlier, after in zip(before, _ticks(), strict=True)]
    idle = spent[3] + spent[4]  # idle, and waiting for a disk
    return 1 - idle / sum(spent) if sum(spent) else 0.0


def _ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def commit() -> str:
    """Of the code that is measured; `+` where files differ from it."""
    root = Path(__file__).parent.parent
    said = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()
