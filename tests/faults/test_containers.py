"""Containers and their agents, the image and the disk: taken away at each moment of a sandbox's life."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import docker
import docker.errors
import pytest

from pool.cgroup import Cgroup, Hierarchy
from tests.docker.conftest import eventually
from tests.faults.engine_proxy import Fault
from tests.faults.site import WARM, Site, assert_lost_while_running, assert_promise_one


def leased(site: Site) -> list[str]:
    """Container ids of those whose processes are not frozen."""
    return [one for one in site.containers().values() if not is_frozen(one, site.first_process(one))]


def is_frozen(container_id: str, pid: int) -> bool:
    cgroup = Cgroup.of_container(container_id, pid, Hierarchy.of_this_host())
    if cgroup.freezer is not None:
        return (cgroup.freezer / "freezer.state").read_text().strip() != "THAWED"
    assert cgroup.unified is not None
    return (cgroup.unified / "cgroup.freeze").read_text().strip() == "1"


def test_a_container_removed_by_hand_under_a_run_is_a_sandbox_lost(site: Site):
    with site.busy() as answers:
        with site.engine_client() as client:
            for container in leased(site):
                client.api.remove_container(container, force=True)
    assert_lost_while_running(answers)


def test_an_agent_killed_under_a_run_is_a_sandbox_lost(site: Site):
    with site.busy() as answers:
        for container in leased(site):
            os.kill(site.first_process(container), signal.SIGKILL)
    assert_lost_while_running(answers)


def test_an_agent_killed_between_two_execs_ends_its_sandbox_which_says_so(site: Site):
    with site.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "python"}).json()["id"]
        path = f"/v1/sandboxes/{sandbox}"
        assert client.post(f"{path}/exec", json={"code": "print(1)"}).json()["stdout"] == "1\n"
        os.kill(site.first_process(site.containers()[sandbox]), signal.SIGKILL)
        eventually(lambda: client.get(path).status_code == 410, "it is gone", 10)
        answer = client.post(f"{path}/exec", json={"code": "print(1)"})
        assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (410, "sandbox_gone", "died")


def test_an_agent_killed_while_it_waits_is_replaced_and_its_sandbox_never_handed_out(site: Site):
    ready = site.containers()
    for container in ready.values():
        os.kill(site.first_process(container), signal.SIGKILL)
    with site.under_load() as answers:
        eventually(lambda: sum(answer.status == 200 for answer in answers) > WARM, "new ones run")
    assert_promise_one(answers)
    ran_in = {answer.body["sandbox_id"] for answer in answers if answer.status == 200}
    assert not ran_in & ready.keys()


@contextlib.contextmanager
def meeting_boots(site: Site, call: str, meet: Callable[[docker.DockerClient, str], None]) -> Iterator[set[str]]:
    """`meet` every container that boots, between the engine's carrying out `call` and its answer."""
    met, stop, known = set[str](), threading.Event(), set(site.containers().values())

    def watch() -> None:
        with site.engine_client() as client:
            while not stop.wait(0.02):
                for container in site.containers().values():
                    if container not in known | met:
                        with contextlib.suppress(docker.errors.APIError, ProcessLookupError):
                            meet(client, container)
                            met.add(container)

    thread = threading.Thread(target=watch)
    with site.proxy.doing(**{call: Fault(delay_s=0.3, after=True)}):
        thread.start()
        try:
            yield met
        finally:
            stop.set()
            thread.join(10)


def removed(client: docker.DockerClient, container: str) -> None:
    client.api.remove_container(container, force=True)


def signalled(number: int) -> Callable[[docker.DockerClient, str], None]:
    def meet(client: docker.DockerClient, container: str) -> None:
        pid = client.api.inspect_container(container)["State"]["Pid"]
        if not pid:
            raise ProcessLookupError
        os.kill(pid, number)

    return meet


@pytest.mark.parametrize(
    ("call", "meet"),
    [
        pytest.param("create", removed, id="removed-before-its-start"),
        pytest.param("start", removed, id="removed-while-booting"),
        pytest.param("start", signalled(signal.SIGKILL), id="agent-killed-before-hello"),
        pytest.param("start", signalled(signal.SIGSTOP), id="agent-never-says-hello"),
    ],
)
def test_what_is_taken_away_while_it_boots_is_booted_again(site: Site, call: str, meet):
    with meeting_boots(site, call, meet) as met:
        assert site.ask().status == 200
        eventually(lambda: sum(site.pool["boot_failures"].values()), "a boot failed")
        eventually(lambda: met, "met")
    assert site.pool["ready"] >= WARM - 1


def test_an_image_that_loses_its_name_goes_on_and_one_that_is_removed_ends_readiness_by_name(site: Site):
    with site.engine_client() as client:
        image = client.api.inspect_image("petri/python:latest")["Id"]

        def is_removed() -> bool:
            try:
                for container in site.containers().values():
                    client.api.remove_container(container, force=True)
                client.api.remove_image(image, force=True)
            except docker.errors.APIError:
                return False  # what the dead pool had begun has made or removed a container meanwhile
            return True

        try:
            client.api.remove_image("petri/python:latest", force=True)  # there are containers of it: its name goes
            assert {site.ask().status for _ in range(WARM + 1)} == {200}
            site.kill_hard("pool")
            eventually(is_removed, "the image is removed")
            site.resume("pool")
            eventually(lambda: "image petri/python does not exist" in site.readiness()[1], "not ready, and why")
            answer = site.ask()
            assert (answer.status, answer.code, answer.body["retryable"]) == (503, "pool_unavailable", True)
        finally:
            site.second.take_image("petri/python:latest")


def test_a_full_disk_stops_boots_and_not_what_is_ready(site: Site):
    with site.second.full():
        with site.under_load() as answers:
            eventually(lambda: "no space left" in site.readiness()[1], "not ready")
            assert site.readiness()[0] == 503
            eventually(lambda: len(answers) > WARM + 5, "answers")
    assert_promise_one(answers)
    assert sum(answer.status == 200 for answer in answers) >= WARM
