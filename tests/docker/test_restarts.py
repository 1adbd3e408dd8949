"""Whoever is killed, no sandbox outlives its owner, and a living neighbour's is never touched."""

from __future__ import annotations

import os
import signal
import time

from tests.docker.conftest import Petri, eventually, run_directory


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
    with (
        run_directory() as shared,
        small("first", PETRI_RUN_DIR=str(shared)) as first,
        small("second", PETRI_RUN_DIR=str(shared)) as second,
    ):
        started(first)
        before = first.containers()
        started(second)
        assert first.containers() == before, "a living sibling's containers were touched"
        users = [
            one.engine.api.inspect_container(container)["Config"]["User"]
            for one in (first, second)
            for container in one.containers().values()
        ]
        assert len(set(users)) == 4, "two sandboxes have one user id"
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


def test_a_sandbox_that_is_killed_while_frozen_is_never_handed_out(small):
    with small("frozen") as one:
        started(one)
        for container in one.containers().values():
            os.kill(one.engine.api.inspect_container(container)["State"]["Pid"], signal.SIGKILL)
        assert {one.run("python", "print(1)")["status"] for _ in range(3)} == {"succeeded"}
        one.wait_until_full()


def test_a_pool_that_hangs_costs_its_callers_a_moment_and_goes_on_when_it_can(small):
    with small("hung", PETRI_TEMPLATE_PYTHON_WAIT_S="0.5") as one:
        started(one)
        one.processes["pool"].send_signal(signal.SIGSTOP)
        with one.client() as client:
            before = time.monotonic()
            answer = client.post("/v1/run", json={"language": "python", "code": "print(1)"})
            assert (answer.status_code, answer.json()["code"]) == (503, "pool_unavailable")
            assert time.monotonic() - before < 5
        one.processes["pool"].send_signal(signal.SIGCONT)
        assert one.run("python", "print(1)")["status"] == "succeeded"
        one.wait_until_full()


def test_a_container_removed_by_hand_is_replaced_and_never_handed_out(small):
    with small("removed") as one:
        started(one)
        victim, container = next(iter(one.containers().items()))
        one.engine.api.remove_container(container, force=True)
        eventually(lambda: victim not in one.containers(), "it is removed")
        assert {one.run("python", "print(1)")["status"] for _ in range(3)} == {"succeeded"}
        one.wait_until_full()
