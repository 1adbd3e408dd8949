"""`petri up` and `petri down` as a person at a terminal has them; and whatever is killed, nothing stays."""

from __future__ import annotations

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
