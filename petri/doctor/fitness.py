"""Is this machine fit to run Petri at all, and if not, what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator

import anyio

from petri import address
from petri.client import Client, GatewayFault
from petri.config import Config
from petri.doctor.finding import BAD, OK, WARN, Finding
from pool import process_lock, runtimes
from pool.cgroup import Hierarchy
from pool.docker_engine import DockerEngine, remedy_for_missing
from pool.engine import EngineError
from pool.engine_api import Address, EngineApi, NotFound

#: The agent resolves paths with openat2, which came with 5.6; older kernels walk path by path.
_KERNEL = (5, 6)
#: Engine data, images and their construction: three images are about 1.2 GB, building them needs as much again.
_DISK_GIB = 3
_TIMEOUT_S = 15.0


def examine_fitness(config: Config) -> list[Finding]:
    """Every check; one that cannot be made is itself a finding."""
    findings: list[Finding] = []
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _kernel, _cgroups, _engine, _runtimes, _images, _permissions, _disk, _running,
    )  # fmt: skip
    for check in checks:
        findings += check(config)
    return findings


def _kernel(config: Config) -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= _KERNEL:
        yield Finding("kernel", OK, release)
    else:
        yield Finding(
            "kernel", WARN, f"{release} has no openat2", "Paths are resolved in steps.", "use Linux 5.6 or newer"
        )


def _cgroups(config: Config) -> Iterator[Finding]:
    hierarchy = Hierarchy.of_this_host()
    if hierarchy.version is None:
        remedy = "mount the cgroup file systems (scripts/engine does), or run Petri outside the container it is in"
        yield Finding("cgroups", WARN, "no hierarchy with a freezer is mounted", "Usage is not counted.", remedy)
    else:
        root = hierarchy.freezer if hierarchy.version == 1 else hierarchy.unified
        yield Finding("cgroups", OK, f"version {hierarchy.version}, {root}")


def _engine(config: Config) -> Iterator[Finding]:
    try:
        engine = anyio.run(DockerEngine.connect, config.pool, config.pool_lock)
    except EngineError as error:
        remedy = "start Docker, set DOCKER_HOST, or run scripts/engine as root on Debian or Ubuntu"
        yield Finding("engine", BAD, str(error), "Sandboxes are its containers.", remedy)
        return
    facts = engine.facts()
    yield Finding("engine", OK, facts.engine)
    if facts.freezes_cgroups:
        yield Finding("freezer", OK, f"{facts.freezer}: {facts.why}")
    else:
        why = "Without a freezer of its own a lease takes about 8 ms longer."
        remedy = "run the pool as root on the engine's own machine"
        yield Finding("freezer", WARN, f"{facts.freezer}: {facts.why}", why, remedy)


def _runtimes(config: Config) -> Iterator[Finding]:
    named = [template for template in config.templates if template.runtime]
    if not named:
        return
    try:
        there = anyio.run(_runtimes_of_the_engine, config)
    except EngineError:
        return  # the engine's own finding says so
    for template in named:
        if fault := runtimes.lacking(template.runtime, there):
            yield Finding("runtime", BAD, f"{template.name}: {fault}", "Its sandboxes cannot boot.", runtimes.REMEDY)
        else:
            yield Finding("runtime", OK, f"{template.name} runs under {template.runtime}")


async def _runtimes_of_the_engine(config: Config) -> Collection[str]:
    api, _ = await EngineApi.connect(Address.of(config.pool.docker_host), _TIMEOUT_S)
    with api.connection(_TIMEOUT_S) as connection:
        return (await connection.get("info")).get("Runtimes") or {}


def _images(config: Config) -> Iterator[Finding]:
    try:
        yield from anyio.run(_look_at_images, config)
    except EngineError:
        return  # the engine's own finding says so


async def _look_at_images(config: Config) -> list[Finding]:
    """One finding for each template. Raises `EngineError` when the engine does not answer."""
    api, _ = await EngineApi.connect(Address.of(config.pool.docker_host), _TIMEOUT_S)
    findings = []
    why = "Sandboxes are made of it."
    with api.connection(_TIMEOUT_S) as connection:
        for template in config.templates:
            try:
                image = (await connection.get("images", template.image, "json"))["Id"].removeprefix("sha256:")[:12]
            except NotFound:
                seen = f"{template.image} ({template.name}) is missing"
                findings.append(Finding("image", BAD, seen, why, remedy_for_missing(template.image)))
            except EngineError as error:
                findings.append(Finding("image", BAD, f"{template.image}: {error}", why, "see the engine's log"))
            else:
                findings.append(Finding("image", OK, f"{template.image} is {image}"))
    return findings


def _permissions(config: Config) -> Iterator[Finding]:
    who = "root" if os.geteuid() == 0 else f"user id {os.geteuid()}"
    for name, directory in (("run", config.run_dir), ("state", config.state_dir)):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            remedy = f"make it writable for {who}, or set PETRI_{name.upper()}_DIR"
            why = "Sockets, locks and logs lie there."
            yield Finding("permissions", BAD, f"{name} directory {directory}: {error.strerror}", why, remedy)
        else:
            yield Finding("permissions", OK, f"{who} can write the {name} directory {directory}")
    if os.geteuid() == 0:
        yield Finding("permissions", OK, f"the gateway will give root up and become {config.gateway.uid}")


def _disk(config: Config) -> Iterator[Finding]:
    place = next(parent for parent in (config.state_dir, *config.state_dir.parents) if parent.exists())
    free = shutil.disk_usage(place).free / (1 << 30)
    if free >= _DISK_GIB:
        yield Finding("disk", OK, f"{free:.0f} GiB free at {place}")
    else:
        yield Finding(
            "disk", WARN, f"{free:.1f} GiB free at {place}", f"Building images needs {_DISK_GIB}.", "make room"
        )


def _running(config: Config) -> Iterator[Finding]:
    if not process_lock.is_held(config.pool_lock):
        yield Finding("running", OK, f"no pool named {config.pool.name}; `petri up` starts one")
        return
    try:
        url = address.of_gateway(None, lambda: config)
    except GatewayFault as fault:  # PETRI_URL
        yield Finding("running", WARN, str(fault), "Commands cannot reach the gateway.", "correct PETRI_URL")
        return
    with Client(url) as client:
        trouble = client.trouble()
    if trouble is None:
        yield Finding("running", OK, f"pool {config.pool.name} and gateway at {url}")
    else:
        seen = f"pool {config.pool.name}, but {url}: {trouble}"
        yield Finding("running", WARN, seen, "Nobody is served.", "`petri ps` and the log of petri up say more")
