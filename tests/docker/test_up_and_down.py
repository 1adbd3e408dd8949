"""`petri up` and `petri down` as a person at a terminal has them; and whatever is killed, nothing stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pool import process_lock
from tests.docker.conftest import Petri, eventually


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
        (one.run_dir / "hi.py").write_text("import sys; print('hi', *sys.argv[1:], input()); sys.exit(7)")
        ran = one.command("run", "--timings", "hi.py", "--json", "there", "--", "-x", input="line\n")
        assert (ran.returncode, ran.stdout) == (7, "hi --json there -- -x line\n")
        assert "total" in ran.stderr
        doctor = one.command("doctor")
        assert doctor.returncode == 0, doctor.stdout
        for subject in ("kernel", "cgroups", "engine", "freezer", "image", "permissions", "running"):
            assert subject in doctor.stdout
        down = one.command("down")
        assert (down.returncode, one.containers()) == (0, {}), down.stdout + down.stderr
        assert "not up" in one.command("down").stdout


def test_after_up_on_a_port_of_its_own_the_other_commands_find_it(small):
    with small("own-port", PETRI_GATEWAY_PORT="1") as one:
        up = one.command("up", "--detach", "--port", "0")
        assert up.returncode == 0, up.stdout + up.stderr
        url = process_lock.note(one.run_dir / f"up-{one.name}.lock")
        assert url is not None
        assert url in up.stdout
        shown = one.command("ps")
        assert (shown.returncode, "python" in shown.stdout) == (0, True), shown.stderr
        (one.run_dir / "hi.py").write_text("print('hi')")
        assert one.command("run", "hi.py", stdin=subprocess.DEVNULL).stdout == "hi\n"
        again = one.command("up")
        assert (again.returncode, url in again.stderr) == (1, True)
        assert one.command("down").returncode == 0
        lost = one.command("ps")
        assert (lost.returncode, "no gateway answers at http://127.0.0.1:1" in lost.stderr) == (1, True)


@pytest.mark.parametrize(
    ("setting", "value", "way", "cause"),
    [
        ("IMAGE", "nobody/made-this", "--once", "image nobody/made-this does not exist"),
        ("IMAGE", "nobody/made-this", "--detach", "image nobody/made-this does not exist"),
        ("CPUS", "1000", "--once", "CPUs"),
        ("LANGUAGE", "node", "--once", "petri/python runs python, not node"),
    ],
)
def test_what_will_never_be_ready_is_given_up_soon_and_with_the_cause(small, setting, value, way, cause):
    with small("hopeless", **{f"PETRI_TEMPLATE_PYTHON_{setting}": value}) as one:
        began = time.monotonic()
        up = one.command("up", way)
        assert up.returncode == 1
        assert time.monotonic() - began < 90  # not the 120 s that a start may take
        *_, progress = [line for line in up.stdout.splitlines() if line.startswith("warm sandboxes: python 0/2 (")]
        assert cause in progress
        assert "images build" not in progress  # which makes Petri's own
        said = up.stderr.splitlines()[-1]
        assert said.startswith("petri: not ready, and will not be: python: ")
        assert cause in said
        assert not processes_of(one)
        assert not one.containers()


def processes_of(one: Petri) -> set[int]:
    """Every process that has this Petri's name in its environment, but for those that are over."""
    mark = f"PETRI_POOL_NAME={one.name}\0".encode()
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes():
                found.add(int(directory.name))
        except OSError:
            continue
    return found


def up(one: Petri) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "petri", "up"], cwd=one.run_dir, env=one.environ, text=True, stderr=subprocess.PIPE
    )


def pool_pid(one: Petri) -> int:
    pid = process_lock.owner(one.run_dir / f"pool-{one.name}.lock")
    assert pid is not None
    return pid


def test_a_killed_up_takes_its_services_and_sandboxes_with_it(small):
    with small("killed-up") as one, up(one) as process:
        eventually(lambda: one.is_full(), "full")
        process.kill()
        eventually(lambda: not processes_of(one), "pool and gateway end by themselves")
        assert not one.containers()


def test_down_waits_for_the_gateway_that_a_killed_up_left(small):
    with small("killed-slow") as one, up(one) as process:
        eventually(lambda: one.is_full(), "full")
        gateway = process_lock.owner(one.run_dir / f"gateway-{one.name}.lock")
        assert gateway is not None
        os.kill(gateway, signal.SIGSTOP)
        try:
            process.kill()
            with subprocess.Popen(
                [sys.executable, "-m", "petri", "down"],
                cwd=one.run_dir, env=one.environ, text=True, stdout=subprocess.PIPE,
            ) as down:  # fmt: skip
                assert down.stdout is not None
                assert "Ending its gateway" in down.stdout.readline()
                eventually(lambda: not process_lock.is_held(one.run_dir / f"pool-{one.name}.lock"), "the pool ends")
                assert down.poll() is None
                os.kill(gateway, signal.SIGCONT)
                assert "Petri is down." in down.stdout.read()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(gateway, signal.SIGCONT)
        assert not processes_of(one)


def test_a_killed_pool_ends_up_which_sweeps_its_sandboxes(small):
    with small("killed-pool") as one, up(one) as process:
        eventually(lambda: one.is_full(), "full")
        os.kill(pool_pid(one), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "pool ended with status -9" in said
        assert "Removed 2 sandboxes" in said
        assert not processes_of(one)
        assert not one.containers()


def test_down_sweeps_what_a_killed_petri_left(small):
    with small("killed-both") as one, up(one) as process:
        eventually(lambda: one.is_full(), "full")
        for pid in (process.pid, *(processes_of(one) - {process.pid})):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not processes_of(one), "dead")
        assert len(one.containers()) == 2
        assert "Removed 2 sandboxes" in one.command("down").stdout
        assert not one.containers()


def test_down_ends_a_pool_whose_starter_is_gone(small):
    with small("orphan") as one:
        one.start("pool")
        eventually(lambda: len(one.containers()) == 2, "two sandboxes")
        refused = one.command("up")
        assert (refused.returncode, "is running already" in refused.stderr) == (1, True)
        assert "Ending its pool" in one.command("down").stdout
        assert not one.containers()


@pytest.mark.parametrize("moment_s", [0.0, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6])
def test_a_signal_at_any_moment_of_the_start_leaves_nothing(small, moment_s):
    """At 0.0, as soon as the first service is there; then later, by the clock, wherever that falls."""
    with small("early") as one, up(one) as process:
        eventually(lambda: len(processes_of(one)) > 1, "a service is started")
        time.sleep(moment_s)
        process.terminate()
        process.communicate(timeout=60)
        assert not processes_of(one)
        assert not one.containers()
