"""Callers that leave at each stage of their request, or do not read their answer: each costs a sandbox at most."""

from __future__ import annotations

import json
import socket

import pytest

from tests.docker.conftest import eventually
from tests.faults.site import BUSY, WARM, Site

_LONG = "import time; print('began', flush=True); time.sleep(60)"
#: More than the buffers of two sockets hold.
_MUCH = "print('x' * 1_000_000)"


def request(code: str) -> bytes:
    body = json.dumps({"language": "python", "code": code, "timeout_s": 60}).encode()
    head = f"POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("sent", "leases"),
    [
        pytest.param(request(_LONG)[:30], 0, id="in-the-head"),
        pytest.param(request(_LONG)[:-20], 0, id="in-the-body"),
        pytest.param(request(_LONG), BUSY, id="in-the-run"),
        pytest.param(request(_LONG), WARM + BUSY, id="in-the-queue"),
        pytest.param(request(_MUCH), 0, id="in-the-answer"),
    ],
)
def test_callers_that_leave_leave_nothing_running(site: Site, sent: bytes, leases: int):
    callers = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(max(leases, BUSY))]
    try:
        for caller in callers:
            caller.sendall(sent)
        if leases:
            eventually(lambda: site.pool["leased"] >= BUSY, "they run")
        else:
            assert site.ask().status == 200  # behind them: they have been seen
    finally:
        for caller in callers:
            caller.close()
    eventually(lambda: not site.pool["leased"] and not site.pool["waiting"], "nothing runs for those who left", 10)


def test_those_who_do_not_read_their_answer_hold_no_sandbox(site: Site):
    callers = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(BUSY)]
    try:
        before = _runs(site)
        for caller in callers:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.sendall(request(_MUCH))
        eventually(lambda: _runs(site) >= before + BUSY, "they ran")
        eventually(lambda: not site.pool["leased"], "their sandboxes are given back although nobody reads", 10)
        assert site.ask().status == 200
    finally:
        for caller in callers:
            caller.close()


def _runs(site: Site) -> float:
    with site.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("petri_runs_total{") and "succeeded" in line
    )
