"""The self-check against a real engine: it passes as things are, and sees each wall that is taken away.

A wall is taken away in what the engine is asked for, which comes to the same as an engine that does not do what it was
asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from petri.config import Config, load
from petri.selfcheck import PROBES, Report, by_hand
from pool import container_config, docker_engine
from pool.container_config import LABEL_POOL
from tests.docker.conftest import ROOT, free_port, run_directory

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    return replace(load(ROOT / "petri.toml", {}), run_dir=tmp_path_factory.mktemp("run"))


def checked(config: Config, *languages: str) -> list[Report]:
    return by_hand.run(config, [one for one in config.templates if one.name in languages])


def containers(pool: str) -> list[str]:
    engine = docker.from_env()
    try:
        return [one.name for one in engine.containers.list(all=True, filters={"label": f"{LABEL_POOL}={pool}"})]
    finally:
        engine.close()


def test_every_wall_stands_in_every_image(config):
    reports = checked(config, "python", "node", "go")
    assert [fault for report in reports for fault in report.faults()] == []
    for report in reports:
        assert [result.probe for result in report.results] == [one.name for one in PROBES]
        assert not [result.probe for result in report.results if result.skipped]
    assert not containers(f"selfcheck-{os.getpid()}")


def within(**settings: Any) -> Change:
    return lambda body: body["HostConfig"].update(settings)


def at_the_top(**settings: Any) -> Change:
    return lambda body: body.update(settings)


def both(*changes: Change) -> Change:
    def change(body: dict[str, Any]) -> None:
        for one in changes:
            one(body)

    return change


def tmpfs(path: str, old: str, new: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        mounts = body["HostConfig"]["Tmpfs"]
        assert old in mounts[path]
        mounts[path] = mounts[path].replace(old, new)

    return change


def another_tmpfs(body: dict[str, Any]) -> None:
    uid = body["User"].partition(":")[0]
    body["HostConfig"]["Tmpfs"]["/srv"] = f"rw,size=1m,uid={uid}"


NO_FILTER = ["no-new-privileges:true", "seccomp=unconfined"]
#: The wall that is taken away: how, and the probes that see it at least.
WALLS: dict[str, tuple[Change, set[str]]] = {
    "no filter of system calls": (within(SecurityOpt=NO_FILTER), {"confinement", "system-calls"}),
    "the engine's own filter": (within(SecurityOpt=["no-new-privileges:true"]), {"system-calls"}),
    "new privileges": (within(SecurityOpt=["seccomp=unconfined"]), {"confinement"}),
    "one capability": (within(CapAdd=["NET_RAW"]), {"capabilities"}),
    "the usual capabilities": (within(CapDrop=[]), {"capabilities"}),
    "privileged": (within(Privileged=True), {"capabilities", "devices", "read-only"}),
    "another user": (at_the_top(User="54321:54321"), {"identity"}),
    "another group": (within(GroupAdd=["4"]), {"identity"}),
    "the host's network": (
        both(within(NetworkMode="host"), at_the_top(NetworkDisabled=False)),
        {"network", "namespaces"},
    ),
    "the host's processes": (within(PidMode="host"), {"namespaces", "first-process", "processes"}),
    "the host's ipc": (within(IpcMode="host"), {"namespaces"}),
    "the host's names": (both(within(UTSMode="host"), at_the_top(Hostname="")), {"namespaces", "names"}),
    "the host's cgroups": (within(CgroupnsMode="host"), {"namespaces"}),
    "another name": (at_the_top(Hostname="build-7"), {"names"}),
    "a root that is written": (within(ReadonlyRootfs=False), {"mounts", "read-only"}),
    "the kernel's settings": (within(ReadonlyPaths=[]), {"read-only"}),
    "nothing hidden": (within(MaskedPaths=[]), {"hidden"}),
    "a directory of the host's": (within(Binds=["/etc:/srv:ro"]), {"mounts"}),
    "the engine's socket": (within(Binds=["/var/run/docker.sock:/run/docker.sock"]), {"sockets", "mounts"}),
    "a device": (
        within(Devices=[{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}]),
        {"devices"},
    ),
    "one more place to write": (another_tmpfs, {"mounts", "writable"}),
    "a file system without a size": (tmpfs("/tmp", "size=64m", "size=0"), {"file-systems"}),
    "a file system of many files": (tmpfs("/dev/shm", "nr_inodes=4096", "nr_inodes=99999"), {"file-systems"}),
    "setuid programs": (tmpfs("/workspace", "nosuid", "suid"), {"file-systems"}),
    "no ceiling of memory": (within(Memory=0, MemorySwap=0), {"ceilings"}),
    "no ceiling of processes": (within(PidsLimit=0), {"ceilings"}),
    "no ceiling of cpu": (within(NanoCpus=0), {"ceilings"}),
    "no limits": (within(Ulimits=[]), {"limits"}),
    "a variable of the host's": (at_the_top(Env=["HOME=/workspace", "TMPDIR=/tmp", "TOKEN=x"]), {"environment"}),
    "somebody before the agent": (at_the_top(Entrypoint=["sh", "-c", "/opt/petri/agent; true"]), {"first-process"}),
}


@pytest.mark.parametrize("wall", WALLS)
def test_a_wall_that_is_missing_is_seen(config, monkeypatch, wall):
    change, probes = WALLS[wall]

    def without_it(*arguments: Any, **options: Any) -> dict[str, object]:
        body = container_config.container_config(*arguments, **options)
        change(body)
        return body

    monkeypatch.setattr(docker_engine, "container_config", without_it)
    (report,) = checked(config, "python")
    assert not report.ok
    failed = {result.probe for result in report.results if not result.ok}
    assert probes <= failed, report.faults()


def test_every_probe_is_seen_to_fail():
    assert set().union(*(probes for _, probes in WALLS.values())) == {one.name for one in PROBES}


def test_a_sandbox_that_does_not_boot_is_not_well(config, monkeypatch):
    def without_agent(*arguments: Any, **options: Any) -> dict[str, object]:
        return container_config.container_config(*arguments, **options) | {"Entrypoint": ["false"]}

    monkeypatch.setattr(docker_engine, "container_config", without_agent)
    (report,) = checked(config, "python")
    assert [result.probe for result in report.results if not result.ok] == ["boot"]


# -- the command, and a pool's start -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image_with_a_volume() -> Iterator[str]:
    """Petri's own image with one line more, for which an engine makes a place to write on the host's disk."""
    engine = docker.from_env()
    name = f"petri-test/volume-{uuid.uuid4().hex[:8]}"
    source = engine.api.create_container("petri/python")["Id"]
    try:
        engine.api.commit(source, repository=name, changes=["VOLUME /data"])
    finally:
        engine.api.remove_container(source, force=True, v=True)
    try:
        yield name
    finally:
        engine.images.remove(name, force=True)
        engine.close()


@dataclass
class Setting:
    """A configuration of its own, and commands under it."""

    directory: Path
    pool: str

    def petri(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        own = {
            "PETRI_CONFIG": str(self.directory / "petri.toml"),
            "PETRI_RUN_DIR": str(self.directory),
            "PETRI_STATE_DIR": str(self.directory),
            "PETRI_POOL_NAME": self.pool,
            "PETRI_GATEWAY_PORT": str(free_port()),
        }
        return subprocess.run(
            [sys.executable, "-m", "petri", *arguments],
            env={**os.environ, **own, **environ}, cwd=self.directory, capture_output=True, text=True, timeout=90,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip


@pytest.fixture
def setting() -> Iterator[Callable[[str], Setting]]:
    with run_directory() as directory:

        def make(templates: str) -> Setting:
            (directory / "petri.toml").write_text(templates)
            return Setting(directory, f"checked-{uuid.uuid4().hex[:8]}")

        yield make


def template(name: str, image: str) -> str:
    return f'[templates.{name}]\nlanguage = "python"\nimage = "{image}"\ntarget = 2\n'


def test_the_command_prints_every_probe_of_every_template(setting, image_with_a_volume):
    both_templates = setting(template("good", "petri/python") + template("odd", image_with_a_volume))
    done = both_templates.petri("selfcheck")
    good, odd = json.loads(done.stdout)
    assert (good["template"], good["ok"], odd["template"], odd["ok"]) == ("good", True, "odd", False)
    assert {"probe", "ok", "expected", "observed"} <= good["probes"][0].keys()
    assert done.returncode == 1
    assert both_templates.petri("selfcheck", "--template", "good").returncode == 0
    text = both_templates.petri("selfcheck", "--text").stdout
    assert "good: 19 of 19 probes well" in text
    assert "/data (" in text


def test_the_command_says_that_no_engine_answers(setting):
    here = setting(template("python", "petri/python"))
    done = here.petri("selfcheck", PETRI_POOL_DOCKER_HOST=f"unix://{here.directory}/none.sock")
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize("command", [("pool",), ("up",)])
def test_nothing_is_served_when_a_wall_does_not_stand(setting, image_with_a_volume, command):
    here = setting(template("odd", image_with_a_volume))
    done = here.petri(*command)
    assert done.returncode == 1
    assert "template odd: mounts: /data (" in done.stderr
    assert "Ready" not in done.stdout
    assert not containers(here.pool)


def test_petri_up_in_the_background_shows_what_does_not_stand(setting, image_with_a_volume):
    here = setting(template("odd", image_with_a_volume))
    done = here.petri("up", "--detach")
    assert done.returncode == 1
    assert "template odd: mounts: /data (" in done.stderr
    assert not containers(here.pool)


def test_it_can_be_switched_off(setting, image_with_a_volume):
    here = setting(template("odd", image_with_a_volume))
    try:
        done = here.petri("up", "--detach", PETRI_POOL_SELFCHECK="false")
        assert "Petri serves" in done.stdout, done.stderr
    finally:
        assert here.petri("down").returncode == 0
    assert not containers(here.pool)
