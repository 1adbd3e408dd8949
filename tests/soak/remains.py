"""What a pool's containers leave on the host: containers, processes, cgroups, mounts. Counted before and after."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

from pool.container_config import LABEL_POOL


@dataclass(frozen=True, slots=True)
class Census:
    """What there is of one pool's containers. All zero when it has ended."""

    containers: int
    processes: int  # Petri's own, and the engine's one for each container
    cgroups: int
    mounts: int

    def __str__(self) -> str:
        return f"{self.containers} containers, {self.processes} processes, {self.cgroups} cgroups, {self.mounts} mounts"

    @property
    def is_nothing(self) -> bool:
        return not (self.containers or self.processes or self.cgroups or self.mounts)


class Remains:
    """Remembers the id of every container that a pool ever had, and looks for what is left of them."""

    def __init__(self, pool: str, mark: str) -> None:
        """`mark`: NAME=VALUE in the environment of Petri's processes, which their children inherit."""
        self._pool = pool
        self._mark = mark.encode()
        self._ids: set[str] = set()
        self._roots: set[str] = set()  # where their root file systems are mounted

    @contextmanager
    def watched(self) -> Iterator[Remains]:
        client = docker.from_env(timeout=60)
        events = client.events(decode=True, filters={"event": "create", "label": f"{LABEL_POOL}={self._pool}"})

        def listen() -> None:
            with suppress(Exception):  # closed under it, at the end
                for event in events:
                    self._ids.add(container_id := event["Actor"]["ID"])
                    with suppress(docker.errors.NotFound):  # gone again already
                        layers = client.api.inspect_container(container_id)["GraphDriver"]["Data"] or {}
                        self._roots.add(layers.get("MergedDir", ""))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield self
        finally:
            events.close()
            listener.join(5)
            client.close()

    @property
    def ever(self) -> int:
        """How many containers there have been."""
        return len(self._ids)

    def census(self) -> Census:
        client = docker.from_env(timeout=60)
        try:
            found = client.api.containers(all=True, filters={"label": f"{LABEL_POOL}={self._pool}"})
        finally:
            client.close()
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return Census(
            containers=len(found),
            processes=sum(map(self._is_ours, Path("/proc").glob("[0-9]*"))),
            cgroups=sum(self._names_one_of_ours(name) for _, names, _ in os.walk("/sys/fs/cgroup") for name in names),
            mounts=sum(mount in self._roots or any(map(self._names_one_of_ours, mount.split("/"))) for mount in mounts),
        )

    def _names_one_of_ours(self, name: str) -> bool:
        """cgroupfs has the bare id, systemd docker-ID.scope."""
        return name.removeprefix("docker-").removesuffix(".scope") in self._ids

    def _is_ours(self, process: Path) -> bool:
        with suppress(OSError):
            if int(process.name) != os.getpid() and self._mark in (process / "environ").read_bytes().split(b"\0"):
                return True
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            return "-id" in words[:-1] and words[words.index("-id") + 1] in self._ids
        return False
