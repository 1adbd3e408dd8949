"""A real Petri for the tests: both processes, the engine, the images, under a name and in directories of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest

from pool import process_lock
from pool.container_config import LABEL_POOL, LABEL_SANDBOX

ROOT = Path(__file__).parents[2]
#: Boots, removals and restarts on a busy two-core machine.
PATIENCE_S = 60.0


def eventually(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for something that another process does; fail with `what` when it does not come."""
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, f"still not so after {patience_s:g} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Petri:
    """A running Petri of the tests' own."""

    name: str
    run_dir: Path
    port: int
    environ: dict[str, str]
    engine: docker.DockerClient
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.url, timeout=90.0, trust_env=False) as client:
            yield client

    def run(self, language: str, code: str, **request: object) -> dict:
        """One `POST /v1/run`, which must be answered with a 200."""
        with self.client() as client:
            answer = client.post("/v1/run", json={"language": language, "code": code, **request})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """`petri …` with this Petri's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "petri", *arguments],
            env=self.environ, cwd=self.run_dir, capture_output=True, text=True, timeout=120, check=False, **options,
        )  # fmt: skip

    def containers(self) -> dict[str, str]:
        """Sandbox id to container id of every container of this pool, in whatever state."""
        found = self.engine.api.containers(all=True, filters={"label": f"{LABEL_POOL}={self.name}"})
        return {one["Labels"][LABEL_SANDBOX]: one["Id"] for one in found}

    def pools(self) -> dict[str, dict]:
        with self.client() as client:
            return {pool["template"]: pool for pool in client.get("/v1/pools").json()["pools"]}

    def start(self, *services: str) -> None:
        for service in services:
            log = (self.run_dir / f"{service}.log").open("ab")
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", "petri", service],
                env=self.environ, cwd=self.run_dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            log.close()

    def kill(self, service: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(service)
        process.send_signal(number)
        process.wait(60)

    def wait_until_full(self) -> None:
        eventually(self.is_full, f"every pool at its target; logs in {self.run_dir}")

    def is_full(self) -> bool:
        for service, process in self.processes.items():
            assert process.poll() is None, f"{service} ended:\n{(self.run_dir / f'{service}.log').read_text()[-3000:]}"
        try:
            return all(pool["ready"] >= pool["target"] and not pool["doomed"] for pool in self.pools().values())
        except (httpx.HTTPError, KeyError):
            return False

    def stop(self) -> None:
        """As an operator would; nothing of it may be left."""
        for service in ("gateway", "pool"):
            if service in self.processes:
                self.kill(service, signal.SIGTERM)
        if process_lock.is_held(self.run_dir / f"up-{self.name}.lock"):  # left by a test that failed half-way
            self.command("down")
        assert not self.containers(), f"containers outlived the pool {self.name}"


@contextlib.contextmanager
def petri(directory: Path, name: str, **environ: str) -> Iterator[Petri]:
    """Pool and gateway under `name`; stopped and counted at the end."""
    engine = docker.from_env()
    port = free_port()
    own = {
        "PETRI_CONFIG": str(ROOT / "petri.toml"),
        "PETRI_RUN_DIR": str(directory),
        "PETRI_POOL_NAME": name,
        "PETRI_GATEWAY_PORT": str(port),
        **environ,
    }
    one = Petri(name, directory, port, {**os.environ, **own}, engine, {})
    try:
        yield one
    finally:
        try:
            one.stop()
        finally:
            for process in one.processes.values():
                process.kill()
                process.wait()
            engine.close()


@contextlib.contextmanager
def run_directory() -> Iterator[Path]:
    """A directory that the gateway, no longer root, can reach: pytest's own are for their owner only."""
    with tempfile.TemporaryDirectory(prefix="petri-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


PYTHON_ONLY = """
[templates.python]
language = "python"
image = "petri/python"
target = 2
max_target = 2
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


@pytest.fixture(scope="session")
def live() -> Iterator[Petri]:
    """One Petri with every language, shared by the tests that leave it as they found it."""
    sizes = {"PETRI_TEMPLATE_PYTHON_TARGET": "4", "PETRI_TEMPLATE_NODE_TARGET": "3", "PETRI_TEMPLATE_GO_TARGET": "2"}
    with run_directory() as directory, petri(directory, f"tests-{os.getpid()}", **sizes) as one:
        one.start("pool", "gateway")
        one.wait_until_full()
        yield one


@pytest.fixture(scope="session")
def petri_url(live: Petri) -> str:
    return live.url
