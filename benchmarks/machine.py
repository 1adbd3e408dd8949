"""The machine that measures, in words, and how busy it is with other things."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import time
from dataclasses import dataclass
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


def busy_s() -> float:
    """Seconds that all the processors together were busy, since the machine started; in steps of 10 ms."""
    ticks = _ticks()
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


#: Enough that the clock's own cost is nothing, and few enough to stay in the cache.
_PAGES = 400


def cold_page_us(seconds: float = 1.0) -> float:
    """What it costs to touch a page of memory again that nobody has touched for `seconds`.

    Nothing, on hardware: below 0.1. A virtual machine whose host takes its memory's translations away pays for every
    page that a process wakes up to, and a process that answers in a millisecond touches hundreds.
    """
    with mmap.mmap(-1, _PAGES * mmap.PAGESIZE) as pages:
        places = range(0, len(pages), mmap.PAGESIZE)
        for place in places:
            pages[place] = 1
        time.sleep(seconds)
        before = time.perf_counter()
        for place in places:
            pages[place]
        return 1e6 * (time.perf_counter() - before) / _PAGES


@dataclass(frozen=True, slots=True)
class Calm:
    """How the machine was, before or after something was measured on it."""

    busy: float  # share of its processors
    cold_page_us: float
    waited_s: float = 0.0

    @classmethod
    def now(cls, waited_s: float = 0.0) -> Calm:
        return cls(round(busy_share(2.0), 4), round(cold_page_us(), 2), round(waited_s, 1))

    @property
    def is_calm(self) -> bool:
        return self.busy <= _BUSY and self.cold_page_us <= _COLD_PAGE_US


#: POLICY: what an engine and an agent or two of a machine's own use while nobody does anything.
_BUSY = 0.06
#: POLICY: five times what was seen on a quiet virtual machine, a tenth of what was seen on one whose host was not.
_COLD_PAGE_US = 5.0
#: In a row, since a moment may be calm by chance.
_LOOKS = 3


def wait_for_calm(at_most_s: float) -> Calm:
    """Until it has been calm for some seconds, or `at_most_s` have gone: the last look."""
    since, in_a_row = time.monotonic(), 0
    while True:
        look = Calm.now(time.monotonic() - since)
        in_a_row = in_a_row + 1 if look.is_calm else 0
        if in_a_row == _LOOKS or time.monotonic() - since > at_most_s:
            return look


def commit() -> str:
    """Of the code that is measured; `+` where files differ from it."""
    root = Path(__file__).parent.parent
    said = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()
