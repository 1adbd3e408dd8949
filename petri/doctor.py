"""`petri doctor`: is this machine fit for Petri, and if not, what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import anyio
import docker
import docker.errors

from petri.client import Client
from petri.config import Config
from pool import pool_lock
from pool.cgroup import Hierarchy
from pool.docker_engine import DockerEngine
from pool.engine import EngineError

#: The agent resolves paths with openat2, which came with 5.6; older kernels walk path by path.
_KERNEL = (5, 6)
#: Engine data, images and their construction: three images are about 1.2 GB, building them needs as much again.
_DISK_GIB = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` says what to do where it is not well."""

    subject: str
    state: Literal["ok", "warning", "fault"]
    detail: str
    remedy: str = ""

    @property
    def is_fault(self) -> bool:
        return self.state == "fault"

    def as_text(self) -> str:
        mark = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}[self.state]
        return f"{mark}  {self.subject:<12} {self.detail}" + (f"\n{'':<22}→ {self.remedy}" if self.remedy else "")

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def examine(config: Config) -> list[Finding]:
    """Look at everything; a check that cannot be made is itself a finding."""
    findings: list[Finding] = []
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _kernel, _cgroups, _engine, _images, _permissions, _disk, _running,
    )  # fmt: skip
    for check in checks:
        findings += check(config)
    return findings


def _kernel(config: Config) -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= _KERNEL:
        yield Finding("kernel", "ok", release)
    else:
        yield Finding("kernel", "warning", f"{release} has no openat2", "use Linux 5.6 or newer")


def _cgroups(config: Config) -> Iterator[Finding]:
    hierarchy = Hierarchy.of_this_host()
    if hierarchy.version is None:
        remedy = "mount the cgroup file systems (scripts/engine does), or run Petri outside the container it is in"
        yield Finding("cgroups", "warning", "no hierarchy with a freezer is mounted", remedy)
    else:
        root = hierarchy.freezer if hierarchy.version == 1 else hierarchy.unified
        yield Finding("cgroups", "ok", f"version {hierarchy.version}, {root}")


def _engine(config: Config) -> Iterator[Finding]:
    try:
        engine = anyio.run(DockerEngine.connect, config.pool, config.pool_lock)
    except EngineError as error:
        remedy = "start Docker, set DOCKER_HOST, or run scripts/engine as root on Debian or Ubuntu"
        yield Finding("engine", "fault", str(error), remedy)
        return
    facts = engine.facts()
    yield Finding("engine", "ok", facts.engine)
    if facts.freezer.startswith("cgroup"):
        yield Finding("freezer", "ok", f"{facts.freezer}: {facts.why}")
    else:
        remedy = "run the pool as root on the engine's own machine: a lease is about 8 ms quicker"
        yield Finding("freezer", "warning", f"{facts.freezer}: {facts.why}", remedy)


def _images(config: Config) -> Iterator[Finding]:
    try:
        client = docker.DockerClient(base_url=config.pool.docker_host) if config.pool.docker_host else docker.from_env()
    except docker.errors.DockerException:
        return  # the engine's own finding says so
    for template in config.templates:
        try:
            image = client.images.get(template.image)
        except docker.errors.ImageNotFound:
            yield Finding("image", "fault", f"{template.image} ({template.name}) is missing", "petri images build")
        except docker.errors.DockerException as error:
            yield Finding("image", "fault", f"{template.image}: {error}", "see the engine's log")
        else:
            yield Finding("image", "ok", f"{template.image} is {image.short_id}")


def _permissions(config: Config) -> Iterator[Finding]:
    who = "root" if os.geteuid() == 0 else f"user id {os.geteuid()}"
    for name, directory in (("run", config.run_dir), ("state", config.state_dir)):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            remedy = f"make it writable for {who}, or set PETRI_{name.upper()}_DIR"
            yield Finding("permissions", "fault", f"{name} directory {directory}: {error.strerror}", remedy)
        else:
            yield Finding("permissions", "ok", f"{who} can write the {name} directory {directory}")
    if os.geteuid() == 0:
        yield Finding("permissions", "ok", f"the gateway will give root up and become {config.gateway.uid}")


def _disk(config: Config) -> Iterator[Finding]:
    place = next(parent for parent in (config.state_dir, *config.state_dir.parents) if parent.exists())
    free = shutil.disk_usage(place).free / (1 << 30)
    if free >= _DISK_GIB:
        yield Finding("disk", "ok", f"{free:.0f} GiB free at {place}")
    else:
        yield Finding("disk", "warning", f"{free:.1f} GiB free at {place}", f"building images needs {_DISK_GIB}")


def _running(config: Config) -> Iterator[Finding]:
    if not pool_lock.is_held(config.pool_lock):
        yield Finding("running", "ok", f"no pool named {config.pool.name}; `petri up` starts one")
        return
    with Client(config.gateway_url) as client:
        trouble = client.trouble()
    if trouble is None:
        yield Finding("running", "ok", f"pool {config.pool.name} and gateway at {config.gateway_url}")
    else:
        remedy = "`petri ps` and the log of petri up say more"
        yield Finding("running", "warning", f"pool {config.pool.name}, but {config.gateway_url}: {trouble}", remedy)
