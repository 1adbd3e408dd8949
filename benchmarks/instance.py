"""A running Petri, as the programs here see it: one they start for themselves, or one that serves already."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.http_client import HttpClient

#: Beside any other Petri of the host. The run directory stays the host's own: there, pools agree on user ids.
POOL_NAME = "bench"
_READY_WITHIN_S = 300.0
_END_WITHIN_S = 120.0
_LOOK_S = 0.02


class BenchFault(Exception):
    """Nothing can be measured; the message is for a person."""


@dataclass(frozen=True, slots=True)
class Petri:
    """`gateway_pid` and `pool_pid` are None where the processes are not this machine's, or cannot be told."""

    url: str
    gateway_pid: int | None
    pool_pid: int | None

    def pools(self) -> dict[str, dict[str, Any]]:
        """By template."""
        return {pool["template"]: pool for pool in self._get("/v1/pools").json()["pools"]}

    def wait_until_full(self) -> dict[str, dict[str, Any]]:
        """Until every pool has what it keeps ready, and nothing boots or goes."""
        give_up = time.monotonic() + _READY_WITHIN_S
        while True:
            pools = self.pools()
            if all(one["ready"] >= one["target"] and not one["booting"] + one["doomed"] for one in pools.values()):
                return pools
            if time.monotonic() > give_up:
                raise BenchFault(f"the pools are not full after {_READY_WITHIN_S:g} s: {pools}")
            time.sleep(_LOOK_S)

    def lease_outcomes(self, template: str) -> dict[str, int]:
        """`petri_leases_total` of one template, by outcome."""
        text = self._get("/metrics").body.decode()
        found = re.findall(r"^petri_leases_total\{(.*?)\} ([0-9.e+]+)$", text, re.MULTILINE)
        labels = [(dict(re.findall(r'(\w+)="([^"]*)"', named)), float(value)) for named, value in found]
        return {one["outcome"]: int(value) for one, value in labels if one["template"] == template}

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far, by process."""
        pids = {"gateway": self.gateway_pid, "pool": self.pool_pid}
        return {name: processes.cpu_seconds(pid) for name, pid in pids.items() if pid is not None}

    def memory_mib(self) -> dict[str, float]:
        """Resident, by process."""
        pids = {"gateway": self.gateway_pid, "pool": self.pool_pid}
        return {name: round(processes.memory(pid).rss, 2) for name, pid in pids.items() if pid is not None}

    def _get(self, path: str) -> Any:
        client = HttpClient(self.url, timeout_s=10.0)
        with contextlib.closing(client):
            return client.request("GET", path)


def misses(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Leases between two looks that found nothing ready."""
    return sum(after[outcome] - before.get(outcome, 0) for outcome in after if outcome != "hit")


def found(url: str) -> Petri:
    """The Petri that serves at `url`."""
    petri = Petri(url, None, None)
    with contextlib.suppress(LookupError, OSError):
        gateway = processes.listening(urlsplit(url).port or 80)
        return Petri(url, gateway, _pool_beside(processes.parent(gateway)))
    return petri


def _pool_beside(up: int) -> int | None:
    """The pool daemon that the same `petri up` has started."""
    return next((pid for pid in processes.children(up) if "pool" in processes.command_line(pid)), None)


@contextlib.contextmanager
def started(work: Path, templates: Mapping[str, Mapping[str, Any]], **pool: Any) -> Iterator[tuple[Petri, float]]:
    """`petri up` with these templates, and the seconds from its start until every pool was full. Ended afterwards."""
    port = _free_port()
    config = work / "petri.toml"
    config.write_text(_toml(port, templates, pool))
    log = work / "petri.log"
    began = time.perf_counter()
    with log.open("ab") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "petri", "--config", str(config), "up"],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True, env=_environment(),
        )  # fmt: skip
    try:
        petri = _ready(up, f"http://127.0.0.1:{port}", log)
        petri.wait_until_full()
        yield petri, time.perf_counter() - began
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(_END_WITHIN_S)


def _ready(up: subprocess.Popen[bytes], url: str, log: Path) -> Petri:
    give_up = time.monotonic() + _READY_WITHIN_S
    while True:
        with contextlib.suppress(OSError):
            with contextlib.closing(HttpClient(url, timeout_s=10.0)) as client:
                if client.request("GET", "/readyz").status == 200:
                    break
        if up.poll() is not None or time.monotonic() > give_up:
            raise BenchFault(f"petri up did not become ready; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(_LOOK_S)
    gateway = processes.listening(urlsplit(url).port or 0)
    return Petri(url, gateway, _pool_beside(up.pid))


def _environment() -> dict[str, str]:
    """Without what would change what is measured: a variable counts for more than the configuration."""
    kept = ("PETRI_STATE_DIR", "PETRI_RUN_DIR")
    return {name: value for name, value in os.environ.items() if not name.startswith("PETRI_") or name in kept}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _toml(port: int, templates: Mapping[str, Mapping[str, Any]], pool: Mapping[str, Any]) -> str:
    lines = ["[gateway]", f"port = {port}", "[pool]", f'name = "{POOL_NAME}"']
    lines += [f"{key} = {value}" for key, value in pool.items()]
    for name, table in templates.items():
        lines += [f"[templates.{name}]", *(f"{key} = {value}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def of_size(size: int) -> dict[str, int]:
    """A template that always keeps `size` ready, with room for as many on their way in and out."""
    return {"target": size, "max_target": size, "max_sandboxes": 2 * size + 16, "max_waiting": 1000}
