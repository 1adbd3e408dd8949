"""What a run costs Petri's own two processes, counted in wake-ups: they cost more than what is done in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.docker.conftest import Petri

_RUNS = 20
#: One every so often, so that a sandbox is taken down and made while nothing else is going on.
_EVERY_S = 0.3
#: Voluntary switches of one run, the next sandbox's boot and the last one's end included. Seen with nothing else going
#: on: pool 8, gateway 4. The bounds leave room for a busy machine, on which one write is read in two pieces, and none
#: for a thread per call to the engine (pool 20) or a look ten times a second (gateway 8).
_MOST = {"pool": 15.0, "gateway": 7.0}


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
