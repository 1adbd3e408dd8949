"""scripts/engine: from nothing to an engine that answers, over whatever a dead one left.

Each test has an engine of its own, beside the machine's: its socket, data and pid files lie in a directory that is
deleted in the end.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from runners.images import image_id

SCRIPT = Path(__file__).parents[2] / "scripts" / "engine"
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine"),
    pytest.mark.skipif(
        shutil.which("dockerd", path=SBIN) is None, reason="this machine's engine is not a local dockerd"
    ),
]


class Engine:
    """An engine that scripts/engine may start, and what is seen of it."""

    def __init__(self, directory: Path) -> None:
        self.run = directory / "r"
        self.state = directory / "s"
        self.host = f"unix://{self.run / 'docker.sock'}"

    def script(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env={**os.environ, **self.environment, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"PETRI_RUN_DIR": str(self.run), "PETRI_STATE_DIR": str(self.state), "DOCKER_HOST": self.host}

    @property
    def pid_file(self) -> Path:
        return self.run / "engine" / "dockerd.pid"

    @property
    def containerd_pid_file(self) -> Path:
        return self.run / "engine" / "exec" / "containerd" / "containerd.pid"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.host, timeout=60)

    def kill(self) -> None:
        """Kill dockerd outright, and wait until it is gone."""
        process = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            assert select.select([process], [], [], 30)[0], "a killed dockerd did not end within 30 s"
        finally:
            os.close(process)

    def left(self) -> list[str]:
        """Processes and mounts of this engine."""
        directory = str(self.run.parent)
        found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if directory in line]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if directory in command:
                found.append(command)
        return found


@pytest.fixture
def engine() -> Iterator[Engine]:
    # Not pytest's own directory: a socket's path holds 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="petri-engine-"))
    engine = Engine(directory)
    try:
        yield engine
        stopped = engine.script("--stop")
        assert stopped.returncode == 0, stopped.stderr
        assert engine.left() == []
    finally:
        engine.script("--stop")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def started(engine: Engine) -> Engine:
    result = engine.script()
    assert result.returncode == 0, result.stdout + result.stderr
    return engine


@pytest.fixture(scope="module")
def image() -> Iterator[bytes]:
    """A small image as an archive, taken from the machine's engine."""
    client = docker.from_env(timeout=120)
    try:
        image_id(client, "python")
        yield b"".join(client.api.get_image("petri/python:latest"))
    finally:
        client.close()


def run_container(engine: Engine, image: bytes) -> str:
    """Start a container that stays, and return its id."""
    client = engine.client()
    try:
        client.images.load(image)
        host = client.api.create_host_config(network_mode="none", log_config={"Type": "none"})
        made = client.api.create_container(
            "petri/python", entrypoint=["sleep", "100000"], network_disabled=True, host_config=host
        )
        client.api.start(made)
        return str(made["Id"])
    finally:
        client.close()


def state_of(engine: Engine, container: str) -> dict[str, object]:
    client = engine.client()
    try:
        state: dict[str, object] = client.api.inspect_container(container)["State"]
        return state
    finally:
        client.close()


def remove(engine: Engine, container: str) -> None:
    client = engine.client()
    try:
        client.api.remove_container(container, force=True)
    finally:
        client.close()


def test_an_engine_is_started_where_none_answers_and_says_how_it_is_set_up(engine: Engine) -> None:
    looked = engine.script("--status")
    result = engine.script()

    assert looked.returncode == 3
    assert "no container engine answers" in looked.stderr
    assert result.returncode == 0, result.stderr
    assert "started by scripts/engine: no bridge, no iptables rules" in result.stdout
    client = engine.client()
    try:
        settings = client.info()
        networks = {network["Name"] for network in client.api.networks()}
    finally:
        client.close()
    assert networks == {"host", "none"}, "no bridge"
    assert settings["LiveRestoreEnabled"] is True
    assert settings["DockerRootDir"] == str(engine.state / "engine" / "data")
    assert engine.script("--status").returncode == 0


def test_an_engine_that_answers_is_used_as_it_is(started: Engine) -> None:
    pid, config = started.pid, (started.state / "engine" / "daemon.json").stat().st_mtime_ns

    again = started.script()

    assert (again.returncode, again.stderr) == (0, "")
    assert "started" not in again.stdout
    assert (started.pid, (started.state / "engine" / "daemon.json").stat().st_mtime_ns) == (pid, config)


def test_two_that_start_at_once_start_one(engine: Engine) -> None:
    running = [
        subprocess.Popen(
            ["bash", str(SCRIPT)], env={**os.environ, **engine.environment}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert sum("started by scripts/engine" in text for text in said) == 1


def test_a_killed_engine_is_started_again_and_takes_its_containers_over(started: Engine, image: bytes) -> None:
    container = run_container(started, image)
    before = state_of(started, container)["Pid"]
    started.kill()
    # By now these numbers may be anybody's: here, ours.
    started.pid_file.write_text(str(os.getpid()))
    started.containerd_pid_file.write_text(str(os.getpid()))

    result = started.script()

    assert result.returncode == 0, result.stdout + result.stderr
    state = state_of(started, container)
    assert (state["Status"], state["Pid"]) == ("running", before)
    remove(started, container)


def test_an_engine_that_has_hung_is_replaced(started: Engine) -> None:
    os.kill(started.pid, signal.SIGSTOP)

    result = started.script(PETRI_ENGINE_PATIENCE_S="1")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "alive but silent" in result.stdout


def test_stopping_leaves_running_containers_to_the_next_engine(started: Engine, image: bytes) -> None:
    container = run_container(started, image)

    stopped = started.script("--stop")
    started.script()

    assert "1 container keeps running" in stopped.stdout
    assert state_of(started, container)["Status"] == "running"
    remove(started, container)


def test_a_second_stop_has_nothing_to_do(started: Engine) -> None:
    started.script("--stop")

    again = started.script("--stop")

    assert again.returncode == 0
    assert "none that scripts/engine started is running" in again.stdout


def test_a_process_with_a_stale_pid_files_number_is_not_ended(engine: Engine) -> None:
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        engine.pid_file.parent.mkdir(parents=True)
        engine.pid_file.write_text(str(bystander.pid))

        assert engine.script("--stop").returncode == 0
        assert engine.script().returncode == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_an_engine_of_somebody_elses_is_not_started_for_them(engine: Engine, tmp_path: Path) -> None:
    result = engine.script(DOCKER_HOST=f"unix://{tmp_path}/docker.sock")

    assert result.returncode == 3
    assert "DOCKER_HOST points there" in result.stderr
    assert not engine.state.exists()


def test_a_run_directory_too_deep_for_sockets_is_refused_with_its_length(engine: Engine) -> None:
    deep = str(engine.run / ("x" * 60))

    result = engine.script(PETRI_RUN_DIR=deep, DOCKER_HOST=f"unix://{deep}/docker.sock")

    assert result.returncode == 2
    assert "107 fit" in result.stderr


def test_an_unknown_argument_is_refused(engine: Engine) -> None:
    result = engine.script("--restart")

    assert result.returncode == 2
    assert "--status or --stop, not: --restart" in result.stderr


def test_gvisor_is_a_runtime_of_the_engines_where_it_is_installed(started: Engine) -> None:
    runtimes = json.loads((started.state / "engine" / "daemon.json").read_text())["runtimes"]

    assert {name: one["path"] for name, one in runtimes.items()} == (
        {"runsc": path} if (path := shutil.which("runsc")) else {}
    )


def test_the_daemon_keeps_nothing_of_its_callers(started: Engine) -> None:
    environment = Path(f"/proc/{started.pid}/environ").read_bytes().decode().split("\0")
    descriptors = [
        path.readlink() for path in Path(f"/proc/{started.pid}/fd").iterdir() if path.name in ("0", "1", "2")
    ]

    assert not [entry for entry in environment if entry.startswith("PYTEST")]
    assert {str(path) for path in descriptors} == {"/dev/null", str(started.state / "engine" / "dockerd.log")}
    assert os.getsid(started.pid) == started.pid, "a terminal that closes would take it along"
    assert json.loads((started.state / "engine" / "daemon.json").read_text())["iptables"] is False
