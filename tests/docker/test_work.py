"""What a run costs Petri's own two processes, counted in wake-ups: they cost more than what is done in them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.docker.conftest import Petri
from tests.docker.system_calls import SystemCalls

_RUNS = 20
#: One every so often, so that a sandbox is taken down and made while nothing else is going on.
_EVERY_S = 0.3
#: Voluntary switches of one run, the next sandbox's boot and the last one's end included. Seen with nothing else going
#: on: pool 8, gateway 4. The bounds leave room for a busy machine, on which one write is read in two pieces, and none
#: for a thread per call to the engine (pool 20) or a look ten times a second (gateway 8).
_MOST = {"pool": 15.0, "gateway": 7.0}
#: System calls of one run until its answer: the least of several, since of some the removal or the next boot has begun
#: when it is looked. Seen: pool 41, gateway 90. The bounds leave room for a read in more pieces, and little else.
_MOST_CALLS = {"pool": 55, "gateway": 110}


def switches(one: Petri, service: str) -> int:
    """Of all threads of the process so far: each time that it had nothing to do and went to sleep."""
    count = 0
    for status in Path(f"/proc/{one.processes[service].pid}/task").glob("*/status"):
        lines = dict(line.split(":\t") for line in status.read_text().splitlines() if ":\t" in line)
        count += int(lines["voluntary_ctxt_switches"])
    return count


@pytest.mark.parametrize("service", ["pool", "gateway"])
def test_a_run_wakes_petris_own_processes_a_few_times_only(small, service):
    with small("work") as one:
        one.start("pool", "gateway")
        one.wait_until_full()
        with one.client() as client:
            body = {"language": "python", "code": "print(1)"}
            client.post("/v1/run", json=body)
            one.wait_until_full()
            before, start = switches(one, service), time.monotonic()
            for number in range(_RUNS):
                time.sleep(max(0.0, start + number * _EVERY_S - time.monotonic()))
                assert client.post("/v1/run", json=body).json()["status"] == "succeeded"
            one.wait_until_full()
            assert (switches(one, service) - before) / _RUNS <= _MOST[service]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may count another process's system calls")
def test_a_run_alone_makes_few_system_calls_in_petris_own_processes(small, tmp_path):
    """Between the request and its answer."""
    with small("calls") as one:
        one.start("pool", "gateway")
        try:
            SystemCalls(one.processes["pool"].pid, tmp_path).close()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this kernel counts no system calls for us: {error}")
        spent: dict[str, list[int]] = {"pool": [], "gateway": []}
        with one.client() as client:
            body = {"language": "python", "code": "print(1)"}
            for _ in range(_RUNS // 2):
                one.wait_until_full()
                calls = {name: SystemCalls(one.processes[name].pid, tmp_path) for name in spent}
                assert client.post("/v1/run", json=body).json()["status"] == "succeeded"
                for name, counter in calls.items():
                    spent[name].append(counter.count())
                    counter.close()
        found = {name: min(counts) for name, counts in spent.items()}
        assert all(found[name] <= most for name, most in _MOST_CALLS.items()), spent
