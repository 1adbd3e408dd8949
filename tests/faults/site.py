"""A Petri over the engine that can be killed, the promises that its answers must keep, and what must be left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx

from pool.container_config import LABEL_POOL, LABEL_SANDBOX
from tests.docker.conftest import Petri, eventually, free_port
from tests.faults.engine_proxy import EngineProxy
from tests.faults.second_engine import SecondEngine

WARM = 8
BUSY = 5
WAIT_S = 1.0
TIMEOUT_S = 2.0
#: Promise 1: an answer by the deadline and a second more.
ANSWERED_S = WAIT_S + TIMEOUT_S + 1.0
#: Promise 2: nothing of what is over, ten seconds after recovery.
GONE_S = 10.0
#: Promise 4: at target again. A boot takes half a second here, and boots are put off for 15 s at most.
BACK_S = 20.0
#: A question to the engine, a listing, a caller's connection that is just going away. All tests share one Petri, so
#: what leaks a little at each comes to more.
_MORE_DESCRIPTORS = 3
#: Codes that say that the fault was ours.
OURS = {"sandbox_lost", "pool_unavailable", "pool_timeout", "too_many_waiting", "draining", "internal_error"}

_CONFIG = f"""
[gateway]
drain_s = 4.0
[pool]
selfcheck = false
drain_s = 1.0
close_s = 5.0
[templates.python]
language = "python"
image = "petri/python"
target = {WARM}
max_target = {WARM}
max_sandboxes = {2 * WARM}
wait_s = {WAIT_S}
boot_timeout_s = 2.5
"""


@dataclass
class Answer:
    """What one caller got: an HTTP status, or None where the connection ended without one."""

    status: int | None
    body: dict
    seconds: float

    @property
    def code(self) -> str | None:
        return self.body.get("code")


class Site(Petri):
    """One Petri, used by all tests: each leaves it at target, or the next one would not find it so."""

    second: SecondEngine
    proxy: EngineProxy
    usual_descriptors: dict[str, int]

    @classmethod
    @contextlib.contextmanager
    def opened(cls, second: SecondEngine, proxy: EngineProxy) -> Iterator[Site]:
        directory = second.directory / "site"
        directory.mkdir(mode=0o755)
        second.directory.chmod(0o755)
        (directory / "petri.toml").write_text(_CONFIG)
        name, port = f"faults-{os.getpid()}", free_port()
        own = {
            "PETRI_CONFIG": str(directory / "petri.toml"),
            "PETRI_RUN_DIR": str(directory),
            "PETRI_POOL_NAME": name,
            "PETRI_GATEWAY_PORT": str(port),
            "PETRI_POOL_DOCKER_HOST": proxy.url,
        }
        client = second.client()
        site = cls(name, directory, port, {**os.environ, **own}, client, {})
        site.second, site.proxy = second, proxy
        try:
            site.start("pool", "gateway")
            site.wait_until_full()
            assert site.ask().status == 200
            site.wait_until_full()
            site.usual_descriptors = site.descriptors()
            yield site
            site.stop()
        finally:
            for process in site.processes.values():
                process.kill()
                process.wait()
            client.close()

    # -- looking ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def engine_client(self) -> Iterator[docker.DockerClient]:
        """A new one: a kept connection is of no use after its engine was killed."""
        with contextlib.closing(self.second.client()) as client:
            yield client

    def containers(self) -> dict[str, str]:
        with self.engine_client() as client:
            found = client.api.containers(all=True, filters={"label": f"{LABEL_POOL}={self.name}"})
            return {one["Labels"][LABEL_SANDBOX]: one["Id"] for one in found}

    def first_process(self, container_id: str) -> int:
        with self.engine_client() as client:
            return int(client.api.inspect_container(container_id)["State"]["Pid"])

    @property
    def pool(self) -> dict:
        return self.pools()["python"]

    def readiness(self) -> tuple[int, str]:
        with self.client() as client:
            answer = client.get("/readyz")
        return answer.status_code, answer.json().get("templates", {}).get("python", "")

    def descriptors(self) -> dict[str, int]:
        return {name: len(os.listdir(f"/proc/{one.pid}/fd")) for name, one in self.processes.items()}

    # -- calling ----------------------------------------------------------------------------------------------------

    def ask(self, code: str = "print('done')", **request: object) -> Answer:
        """One run, whatever comes of it."""
        began = time.monotonic()
        try:
            with self.client() as client:
                body = {"language": "python", "code": code, "timeout_s": TIMEOUT_S, **request}
                answer = client.post("/v1/run", json=body)
            return Answer(answer.status_code, answer.json(), time.monotonic() - began)
        except httpx.TransportError:
            return Answer(None, {}, time.monotonic() - began)

    @contextlib.contextmanager
    def under_load(self, code: str = "import time; time.sleep(0.2); print('done')") -> Iterator[list[Answer]]:
        """`BUSY` callers during the block; their answers."""
        stop, answers = threading.Event(), list[Answer]()

        def call() -> None:
            while not stop.is_set():
                answers.append(self.ask(code))
                if answers[-1].status != 200:
                    stop.wait(0.2)

        threads = [threading.Thread(target=call) for _ in range(BUSY)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    @contextlib.contextmanager
    def busy(self, code: str = "import time; print('began', flush=True); time.sleep(30)") -> Iterator[list[Answer]]:
        """`BUSY` runs under way at the begin, and the pool at its target beside them; their answers after the end."""
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask(code, timeout_s=20))) for _ in range(BUSY)]
        for thread in threads:
            thread.start()
        eventually(lambda: (self.pool["leased"], self.pool["ready"]) == (BUSY, WARM), f"{BUSY} busy, {WARM} warm")
        try:
            yield answers
        finally:
            for thread in threads:
                thread.join(60)

    # -- the end ----------------------------------------------------------------------------------------------------

    def assert_back_to_normal(self) -> None:
        """Promises 2 and 4: at target, able to run, and nothing there that is not a ready sandbox's."""
        eventually(self.is_full, f"the pool is at its target again: {self.pool}", BACK_S)
        assert self.readiness()[0] == 200
        answer = self.ask()
        assert (answer.status, answer.body.get("stdout")) == (200, "done\n"), answer
        give_up = time.monotonic() + GONE_S
        while left := self.left():
            assert time.monotonic() < give_up, left
            time.sleep(0.05)

    def left(self) -> list[str]:
        """What does not belong to a container that is in the pool, ready."""
        alive = set(self.containers().values())
        number = self.pool["ready"]
        found = [] if len(alive) == number else [f"{len(alive)} containers for {number} ready sandboxes"]
        # A dockerd killed in the middle of a removal forgets the shim (docs/reliability.md): empty, it may stay.
        found += [
            f"shim of {one[:12]}"
            for one, shim in self.second.shims().items()
            if one not in alive and (self.second.supervises(shim) or not self.second.dockerd_was_killed)
        ]
        found += [f"cgroup {one}" for one in self.second.cgroups() if Path(one).name not in alive]
        merged = [one for one in self.second.mounts() if one.endswith("/merged")]
        for name, open_now in self.descriptors().items():
            if open_now > self.usual_descriptors[name] + _MORE_DESCRIPTORS:
                found.append(f"{name} has {open_now} descriptors, usually {self.usual_descriptors[name]}")
        found += [] if len(merged) <= number else [f"{len(merged)} mounts for {number} ready sandboxes"]
        return found

    def resume(self, *services: str) -> None:
        """Start those again that a test has killed."""
        for service in services:
            if service not in self.processes:
                self.start(service)
        eventually(self._answers, "the gateway answers")

    def _answers(self) -> bool:
        try:
            return "python" in self.pools()
        except (httpx.HTTPError, KeyError):
            return False

    def kill_hard(self, *services: str) -> None:
        """All at once."""
        taken = [self.processes.pop(service) for service in services]
        for process in taken:
            process.send_signal(signal.SIGKILL)
        for process in taken:
            process.wait(30)


def assert_promise_one(answers: list[Answer]) -> None:
    """Answered in time; what went wrong is called ours; what is called the guest's went well; and nothing that may have
    run is said to be safe to send again. Not for a test that kills the gateway: its callers get no answer.
    """
    assert answers
    for answer in answers:
        assert answer.seconds <= ANSWERED_S, answer
        if answer.status == 200:
            assert (answer.body["status"], answer.body["stdout"]) == ("succeeded", "done\n"), answer
        else:
            assert answer.code in OURS, answer
            if answer.code == "sandbox_lost":
                assert answer.status == 502
                assert not answer.body["retryable"] or "before anything was sent" in answer.body["detail"], answer
            else:
                assert answer.body["retryable"], answer


def assert_lost_while_running(answers: list[Answer]) -> None:
    """Every run that was under way was lost by us, at once, and is not to be sent again by a program."""
    assert len(answers) == BUSY
    for answer in answers:
        assert (answer.status, answer.code, answer.body.get("retryable")) == (502, "sandbox_lost", False), answer
        assert answer.seconds <= ANSWERED_S, answer
