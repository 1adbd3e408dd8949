"""Users of Petri for locust: those that want one run, and those that keep a sandbox for some.

    .venv/bin/locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000                      # web UI at :8089
    .venv/bin/locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000 --headless \\
        --users 8 --spawn-rate 8 --run-time 60s                                                    # in the terminal
    .venv/bin/locust -f benchmarks/locustfile.py OneShot --host … …                                # one kind alone

An answer is counted as failed unless the program's output is right, whatever its status. Percentiles are shown up to
99.9. PETRI_LANGUAGE chooses the language (python). Users do not wait between requests, so this is a closed loop: a
slow server is asked less often, and the percentiles are of what was asked. benchmarks/open_loop.py does not do that.
"""

from __future__ import annotations

import os

import locust.stats
from locust import FastHttpUser, constant, task

from benchmarks.programs import CODE, OUTPUT

locust.stats.PERCENTILES_TO_REPORT = [0.5, 0.9, 0.95, 0.99, 0.999]
locust.stats.PERCENTILES_TO_CHART = [0.5, 0.99, 0.999]
locust.stats.PERCENTILES_TO_STATISTICS = [0.5, 0.95, 0.99, 0.999]

LANGUAGE = os.environ.get("PETRI_LANGUAGE", "python")
#: Runs in one session.
_EXECS = 5


class _User(FastHttpUser):
    abstract = True
    wait_time = constant(0)

    def call(self, method: str, path: str, expected: int, *, name: str, body: object = None) -> dict[str, object]:
        """One request, failed unless it is answered by `expected`."""
        with self.client.request(method, path, json=body, name=name, catch_response=True) as answer:
            if answer.status_code != expected:
                answer.failure(f"{answer.status_code} {(answer.text or '')[:200]}")
                return {}
            return answer.json() if answer.content else {}

    def run_code(self, path: str, *, name: str, **more: str) -> None:
        with self.client.post(path, json={"code": CODE[LANGUAGE], **more}, name=name, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {(answer.text or '')[:200]}")
            elif answer.json()["stdout"] != OUTPUT:
                answer.failure(f"{answer.json()['status']}, stdout {answer.json()['stdout'][:80]!r}")


class OneShot(_User):
    """A fresh sandbox for each run."""

    weight = 3

    @task
    def one_run(self) -> None:
        self.run_code("/v1/run", name="/v1/run", language=LANGUAGE)


class Session(_User):
    """A sandbox for some runs that follow one another."""

    weight = 1

    @task
    def some_runs(self) -> None:
        made = self.call("POST", "/v1/sandboxes", 201, name="/v1/sandboxes", body={"language": LANGUAGE})
        if "id" not in made:
            return
        for _ in range(_EXECS):
            self.run_code(f"/v1/sandboxes/{made['id']}/exec", name="/v1/sandboxes/ID/exec")
        self.call("DELETE", f"/v1/sandboxes/{made['id']}", 204, name="/v1/sandboxes/ID")
