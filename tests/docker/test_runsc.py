"""A stronger wall: sandboxes under gVisor, from boot to removal, in every language.

Skipped where the engine has no such runtime; docs/runtimes.md says how to give it one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from pool.cgroup import Cgroup, Hierarchy
from pool.runtimes import GVISOR, family
from tests.docker.conftest import Petri, eventually, petri, run_directory
from tests.docker.test_same_as_running_the_file import plain_container, run_through_petri
from tests.programs.cases import cases

CONFIG = """
[templates.python]
runtime = "{runtime}"
memory_mib = 512
pids = 32
target = 2
max_target = 2

[templates.node]
runtime = "{runtime}"
target = 1
max_target = 1

[templates.go]
runtime = "{runtime}"
target = 1
max_target = 1

[templates.neighbour]
language = "python"
image = "petri/python"
target = 1
"""

#: gVisor's ptrace platform takes 5 to 50 times as long over what asks the kernel much.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def runtime() -> str:
    """The engine's name for gVisor."""
    with contextlib.closing(docker.from_env()) as engine:
        found = sorted((name for name in engine.info()["Runtimes"] if family(name) == GVISOR), key=len)
    if not found:
        pytest.skip("the engine has no gVisor runtime (runsc): docs/runtimes.md says how to give it one")
    return str(found[0])


@pytest.fixture(scope="module")
def guarded(runtime: str) -> Iterator[Petri]:
    """A Petri whose languages run under gVisor, with a neighbour under runc; its self-check has passed."""
    with run_directory() as directory:
        config = directory / "petri.toml"
        config.write_text(CONFIG.format(runtime=runtime))
        with petri(directory, f"guarded-{os.getpid()}", PETRI_CONFIG=str(config)) as one:
            one.start("pool", "gateway")
            one.wait_until_full()
            yield one
            ids = set(one.containers().values())
        eventually(lambda: not processes_of(ids), "gVisor's own processes end with their containers")


def processes_of(containers: set[str]) -> list[str]:
    """Command lines, of this machine, that name one of these containers."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if any(container in line for container in containers):
                found.append(line)
    return found


def needs_the_cgroup(guarded: Petri) -> None:
    freezer = guarded.pools()["python"]["freezer"]
    if not freezer.startswith("cgroup"):
        pytest.skip(f"the containers' cgroups and processes are not this process's to see: frozen by {freezer}")


@pytest.fixture
def sandbox(guarded: Petri):
    """A session of a sandbox under gVisor: call it to have something run in there."""
    with guarded.client() as client:
        at = f"/v1/sandboxes/{client.post('/v1/sandboxes', json={'language': 'python'}).json()['id']}"

        def exec_(**request: object) -> dict:
            answer = client.post(f"{at}/exec", json=request)
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield exec_
        assert client.delete(at).status_code == 204


def test_the_guests_kernel_is_not_the_hosts(guarded, runtime):
    look = "import platform; print(open('/proc/version').read())"
    version = Path("/proc/version").read_text()
    assert guarded.run("python", look)["stdout"].strip() != version.strip()
    assert guarded.run("neighbour", look)["stdout"].strip() == version.strip()
    guarded.wait_until_full()  # nothing on its way out
    inspected = map(guarded.engine.api.inspect_container, guarded.containers().values())
    under = [one["HostConfig"]["Runtime"] for one in inspected]
    assert under.count(runtime) >= 4 and set(under) == {runtime, "runc"}


def test_a_ready_sandbox_stands_still_with_all_that_gvisor_runs_for_it(guarded):
    hierarchy = Hierarchy.of_this_host()
    needs_the_cgroup(guarded)
    guarded.wait_until_full()
    for container in guarded.containers().values():
        about = guarded.engine.api.inspect_container(container)
        if about["HostConfig"]["Runtime"] == "runc":
            continue
        cgroup = Cgroup.of_container(container, about["State"]["Pid"], hierarchy)
        where = cgroup.freezer or cgroup.unified
        assert where is not None
        processes = (where / "cgroup.procs").read_text().split()
        assert len(processes) >= 2, "its kernel and its file server"
        if cgroup.freezer is not None:
            assert (where / "freezer.state").read_text() == "FROZEN\n"
        else:
            assert "frozen 1" in (where / "cgroup.events").read_text().splitlines()
        before = cgroup.usage()
        assert before is not None and before.cpu_ns and before.memory_peak_bytes, "the host's counters are its own"
        time.sleep(0.3)
        assert cgroup.usage() == before


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("python", "standard_library_tour"),
        ("python", "multiprocessing_all_ways"),
        ("python", "exception_chain"),
        ("python", "loopback_server"),
        ("python", "segmentation_fault"),
        ("node", "child_processes"),
        ("node", "standard_library_tour"),
        ("node", "error_in_timer"),
        ("go", "panic_string"),
        ("go", "several_packages"),
    ],
)
def test_a_run_under_gvisor_is_the_same_as_running_the_file_under_runc(guarded, language, name):
    (case,) = cases(language, name)
    with plain_container(language) as plain, ThreadPoolExecutor(1) as beside:
        ours = beside.submit(run_through_petri, guarded.url, case)
        assert ours.result() == plain.run(case)


PROCESSES = "import os\nprint(len([name for name in os.listdir('/proc') if name.isdigit()]))"

FORK = """
import os, time
open('kept', 'w').write('1')
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except OSError as error:
    print(made, error.strerror)
"""


def test_the_guests_kernel_refuses_processes_beyond_the_ceiling_and_the_agent_ends_what_is_left(sandbox):
    before = sandbox(code=PROCESSES)["stdout"]
    made, why = sandbox(code=FORK)["stdout"].split(" ", 1)
    assert (0 < int(made) < 32, why) == (True, "Resource temporarily unavailable\n")
    assert sandbox(code=PROCESSES)["stdout"] == before
    assert sandbox(command="cat kept; exit 3")["exit_code"] == 3


def test_a_path_is_resolved_beneath_the_work_directory_without_openat2(guarded, sandbox):
    assert sandbox(command="ln -s /tmp out")["exit_code"] == 0
    with pytest.raises(AssertionError, match="meets a symbolic link"):
        sandbox(code="1", files=[{"path": "out/x", "content": "escaped"}])
    assert sandbox(command="ls /tmp")["stdout"] == ""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        pytest.param("b = []\nwhile True: b.append(bytearray(1 << 24))", "oom", id="memory"),
        pytest.param("while True: pass", "timed_out", id="time"),
        pytest.param("while True: print('x' * 1000)", "output_limit", id="output"),
    ],
)
def test_every_ceiling_has_its_outcome_and_the_neighbour_goes_on(guarded, code, status):
    with ThreadPoolExecutor(1) as beside:
        neighbour = beside.submit(guarded.run, "neighbour", "import time; time.sleep(1); print('well')")
        assert guarded.run("python", code, timeout_s=8)["status"] == status
        assert neighbour.result()["stdout"] == "well\n"
    eventually(guarded.is_full, "the pool is full again")


FILL = """
for place in ('/workspace', '/tmp', '/dev/shm'):
    written = 0
    try:
        with open(place + '/file', 'wb', buffering=0) as file:
            while written < 150:
                file.write(bytes(1 << 20))
                written += 1
    except OSError as error:
        print(place, written, error.strerror)
"""

CALL = """
import socket
try:
    socket.create_connection(('192.0.2.1', 80), 3)
except OSError as error:
    print(error.strerror)
"""


def test_what_can_be_written_has_its_size_and_there_is_no_way_out(guarded):
    found = [line.split(" ", 2) for line in guarded.run("python", FILL, timeout_s=60)["stdout"].splitlines()]
    assert [place for place, _, _ in found] == ["/workspace", "/tmp", "/dev/shm"]
    for (_, written, why), most in zip(found, (64, 64, 16), strict=True):
        assert (most - 2 <= int(written) <= most, why) == (True, "No space left on device")
    assert guarded.run("python", CALL)["stdout"] in ("No route to host\n", "Network is unreachable\n")


def test_a_sandbox_whose_kernel_is_killed_while_frozen_is_never_handed_out(guarded):
    needs_the_cgroup(guarded)
    guarded.wait_until_full()
    for container in guarded.containers().values():
        os.kill(guarded.engine.api.inspect_container(container)["State"]["Pid"], signal.SIGKILL)
    assert [guarded.run("python", "print(1)")["stdout"] for _ in range(3)] == ["1\n"] * 3
    guarded.wait_until_full()


def test_what_a_killed_pool_leaves_is_swept(guarded):
    left = set(guarded.containers())
    guarded.kill("pool")
    guarded.start("pool")
    guarded.wait_until_full()
    assert not left & set(guarded.containers())
    assert guarded.run("go", 'package main\nimport "fmt"\nfunc main() { fmt.Println(42) }')["stdout"] == "42\n"
