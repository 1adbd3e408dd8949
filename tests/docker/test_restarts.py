"""Whoever is killed, no sandbox outlives its owner, and a living neighbour's is never touched."""

from __future__ import annotations

import os
import signal

import pytest

from tests.docker.conftest import Petri, eventually, petri, run_directory

PYTHON_ONLY = """
[templates.python]
language = "python"
image = "petri/python"
target = 2
"""


@pytest.fixture
def small():
    """Makes Petris with two Python sandboxes each."""
    with run_directory() as parent:
        config = parent / "petri.toml"
        config.write_text(PYTHON_ONLY)

        def make(name: str, **environ: str):
            directory = parent / name
            directory.mkdir(mode=0o755)
            return petri(directory, f"{name}-{os.getpid()}", PETRI_CONFIG=str(config), **environ)

        yield make


def started(one: Petri) -> Petri:
    one.start("pool", "gateway")
    one.wait_until_full()
    return one


def test_a_gateway_that_is_killed_takes_its_sandboxes_with_it_and_the_pool_refills(small):
    with small("gateway-dies") as one:
        started(one)
        with one.client() as client:
            sandbox = client.post("/v1/sandboxes", json={"language": "python"}).json()["id"]
        one.kill("gateway")
        eventually(lambda: sandbox not in one.containers(), "the killed gateway's sandbox is removed")
        one.start("gateway")
        one.wait_until_full()
        assert one.run("python", "print(1)")["stdout"] == "1\n"


def test_a_pool_that_is_killed_leaves_containers_which_its_next_start_sweeps(small):
    with small("pool-dies") as one:
        started(one)
        left = set(one.containers())
        assert len(left) >= 2
        one.kill("pool")
        one.start("pool")
        one.wait_until_full()  # the gateway has found the new daemon by itself
        assert not left & set(one.containers())
        assert one.run("python", "print(1)")["stdout"] == "1\n"


def test_a_pool_touches_only_its_own(small):
    with small("first") as first, small("second") as second:
        started(first)
        before = first.containers()
        started(second)
        assert first.containers() == before, "a living sibling's containers were touched"
        second.kill("pool")
        orphans = second.containers()
        assert orphans
        first.kill("pool", signal.SIGTERM)
        first.start("pool")  # its sweep finds the dead sibling's, too
        first.wait_until_full()
        eventually(lambda: not orphans.keys() & second.containers().keys(), "the dead sibling's containers are swept")


def test_two_pools_of_one_name_do_not_start(small):
    with small("twice") as one:
        started(one)
        second = one.command("pool")
        assert second.returncode == 1
        assert f"is running already (pid {one.processes['pool'].pid})" in second.stderr


def test_a_pool_without_a_cgroup_to_write_freezes_by_the_engines_pause(small):
    with small("paused", PETRI_POOL_FREEZER="docker") as one:
        started(one)
        assert one.pools()["python"]["freezer"] == "docker pause"
        states = {one.engine.api.inspect_container(c)["State"]["Status"] for c in one.containers().values()}
        assert states == {"paused"}
        assert one.run("python", "print(1)")["stdout"] == "1\n"


def test_a_container_removed_by_hand_is_replaced_and_never_handed_out(small):
    with small("removed") as one:
        started(one)
        victim, container = next(iter(one.containers().items()))
        one.engine.api.remove_container(container, force=True)
        eventually(lambda: victim not in one.containers(), "it is removed")
        assert {one.run("python", "print(1)")["status"] for _ in range(3)} == {"succeeded"}
        one.wait_until_full()


def test_petri_up_and_down_by_the_command_line(small):
    with small("command") as one:
        once = one.command("up", "--once")
        assert once.returncode == 0, once.stdout + once.stderr
        assert "hello from Python 3." in once.stdout
        assert not one.containers()
        detached = one.command("up", "--detach", "--samples")
        assert detached.returncode == 0, detached.stdout + detached.stderr
        again = one.command("up")
        assert again.returncode == 1
        assert "`petri down` ends it" in again.stderr
        one.environ["PETRI_POOL_NAME"] += "-other"
        for way in ("--once", "--detach"):  # a stranger's answer on our port is not our own readiness
            taken = one.command("up", way)
            assert (taken.returncode, "cannot listen on 127.0.0.1" in taken.stderr) == (1, True), taken
        one.environ["PETRI_POOL_NAME"] = one.name
        shown = one.command("ps")
        assert "python" in shown.stdout
        (one.run_dir / "hi.py").write_text("import sys; print('hi', sys.argv[1], input()); sys.exit(7)")
        ran = one.command("run", "--timings", "hi.py", "there", input="line\n")
        assert (ran.returncode, ran.stdout) == (7, "hi there line\n")
        assert "total" in ran.stderr
        doctor = one.command("doctor")
        assert doctor.returncode == 0, doctor.stdout
        for subject in ("kernel", "cgroups", "engine", "freezer", "image", "permissions", "running"):
            assert subject in doctor.stdout
        down = one.command("down")
        assert (down.returncode, one.containers()) == (0, {}), down.stdout + down.stderr
        assert "not up" in one.command("down").stdout
