"""What one run leaves behind is never seen by another: from inside, over real containers. scripts/soak does 10,000."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

from tests.soak import canary

#: As many as a few seconds of the suite allow, four at a time.
_RUNS = 40


def test_no_run_sees_a_canary_of_another(live):
    with live.client() as client:

        def run(number: int) -> dict:
            answer = client.post("/v1/run", json=canary.request(secrets.token_hex(8)))
            assert answer.status_code == 200, answer.text
            return answer.json()

        with ThreadPoolExecutor(4) as callers:
            runs = list(callers.map(run, range(_RUNS)))
    assert [(run["status"], run["stderr"], json.loads(run["stdout"])) for run in runs] == [
        ("succeeded", "", [])
    ] * _RUNS
    assert len({run["sandbox_id"] for run in runs}) == _RUNS


def test_a_canary_is_seen_where_it_may_be(live):
    """In a session files stay: the program finds them, so that finding none elsewhere means something."""
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "python"}).json()["id"]
        found = []
        for mark in ("first", "second"):
            body = canary.request(mark)
            del body["language"]
            run = client.post(f"/v1/sandboxes/{sandbox}/exec", json=body).json()
            assert run["status"] == "succeeded", run
            found.append(json.loads(run["stdout"]))
        client.delete(f"/v1/sandboxes/{sandbox}")
    assert found[0] == []
    assert set(found[1]) >= {f"{place}/canary-first" for place in ("/workspace", "/tmp", "/dev/shm")}
