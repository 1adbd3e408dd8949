"""Callers of every kind: right ones and wrong ones, quick and endless ones, ones that leave, and sessions."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable

import httpx

from tests.soak import canary
from tests.soak.faults import Faults
from tests.soak.tally import Tally

#: What a template lets a caller wait, what the gateway adds for a pool that hangs, and the promise's second.
_BEYOND_S = 5.0 + 2.0 + 1.0
#: A run's own time, where it names none: the template's. And the agent's grace before the host ends it.
_TIMEOUT_S = 10.0
_GRACE_S = 3.0


class Caller:
    """One thread that asks, again and again, until it is told to stop."""

    def __init__(self, url: str, seed: int, tally: Tally, faults: Faults) -> None:
        """`faults` knows what was, lately, not there by our own doing."""
        self._http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)
        self._url = httpx.URL(url)
        self._random = random.Random(seed)
        self._tally = tally
        self._away = faults.gateway_was_away
        self._pool_away = faults.pool_was_away

    def call_until(self, stop: threading.Event) -> None:
        kinds = self._kinds()
        with self._http:
            while not stop.is_set():
                (kind,) = self._random.choices(list(kinds), list(kinds.values()))
                try:
                    kind()
                except httpx.TransportError as error:
                    self._tally.count(f"no answer ({type(error).__name__})")
                    self._tally.promise(self._away(), f"no answer while nothing was killed: {error!r}")
                    time.sleep(0.2)

    def call_once(self) -> None:
        """One of each kind."""
        with self._http:
            for kind in self._kinds():
                kind()

    def _kinds(self) -> dict[Callable[[], None], int]:
        """And how often each comes."""
        return {
            self.canary: 30, self.takes_a_while: 8, self.node: 8, self.go: 2, self.fails: 8, self.times_out: 3,
            self.runs_out: 3, self.prints_much: 5, self.leaves: 6, self.session: 8, self.is_wrong: 5, self.looks: 5,
        }  # fmt: skip

    # -- one request each -------------------------------------------------------------------------------------------

    def canary(self) -> None:
        mark = f"{self._random.getrandbits(64):016x}"
        if run := self._run(canary.request(mark), "succeeded"):
            self._tally.canary()
            found = json.loads(run["stdout"])
            self._tally.promise(found == [], f"a run saw what another had left: {found}")

    def takes_a_while(self) -> None:
        """So that a fault finds it running."""
        if run := self._run({"language": "python", "code": "import time; time.sleep(1.5); print(42)"}, "succeeded"):
            self._tally.promise(run["stdout"] == "42\n", f"wrong output: {run}")

    def node(self) -> None:
        if run := self._run({"language": "node", "code": "console.log(6 * 7)"}, "succeeded"):
            self._tally.promise(run["stdout"] == "42\n", f"wrong output: {run}")

    def go(self) -> None:
        code = 'package main\nimport "fmt"\nfunc main() { fmt.Println(42) }'
        if run := self._run({"language": "go", "code": code, "timeout_s": 30}, "succeeded", within_s=30.0):
            self._tally.promise(run["stdout"] == "42\n", f"wrong output: {run}")

    def fails(self) -> None:
        if run := self._run({"language": "python", "code": "raise SystemExit(3)"}, "failed"):
            self._tally.promise((run["exit_code"], run["error"]["kind"]) == (3, "user"), f"wrong end: {run}")

    def times_out(self) -> None:
        self._run({"language": "python", "code": "while True: pass", "timeout_s": 0.5}, "timed_out", within_s=0.5)

    def runs_out(self) -> None:
        self._run({"language": "python", "code": "x = []\nwhile True: x.append(bytearray(1 << 20))"}, "oom")

    def prints_much(self) -> None:
        if run := self._run({"language": "python", "code": "print('x' * 4_000_000)"}, "succeeded"):
            self._tally.promise(run["stdout_truncated"] and len(run["stdout"]) == 1 << 20, "wrong truncation")

    def leaves(self) -> None:
        """In the middle of its run, or of its own request."""
        body = json.dumps({"language": "python", "code": "import time; time.sleep(60)", "timeout_s": 60}).encode()
        head = f"POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        message = head + body
        cut = self._random.choice([len(message), len(message), self._random.randrange(len(message))])
        try:
            with socket.create_connection((self._url.host, self._url.port or 80), timeout=10) as client:
                client.sendall(message[:cut])
                time.sleep(self._random.uniform(0, 0.3))
            self._tally.count("left")
        except OSError:
            self._tally.promise(self._away(), "no connection while nothing was killed")

    def session(self) -> None:
        answer = self._ask("/v1/sandboxes", {"language": "python", "timeout_s": 30}, within_s=0.0)
        if answer.status_code != 201:
            self._tally.refusal(answer, ran_perhaps=False)
            return
        path = f"/v1/sandboxes/{answer.json()['id']}"
        for number in range(self._random.randrange(4)):
            code = f"open('n', 'a').write('x'); print(len(open('n').read()) == {number + 1})"
            answer = self._ask(f"{path}/exec", {"code": code}, within_s=_TIMEOUT_S)
            if answer.status_code != 200:
                self._tally.refusal(answer, ran_perhaps=True)
                return
            run = answer.json()
            self._tally.count(f"exec {run['status']}")
            self._tally.promise(run["stdout"] == "True\n", f"a session's file is not as it was left: {run}")
        if self._random.random() < 0.7:
            answer = self._http.delete(path)
            self._tally.promise(answer.status_code in (204, 404), f"deleting: {answer.status_code} {answer.text}")
        self._tally.count("session")

    def is_wrong(self) -> None:
        answer = self._ask("/v1/run", {"language": "cobol", "code": 1, "cod": 2}, within_s=0.0)
        self._tally.promise(answer.status_code == 400, f"a wrong request: {answer.status_code} {answer.text[:200]}")
        self._tally.count("400")

    def looks(self) -> None:
        for path in ("/v1/pools", "/v1/pools/python/sandboxes", "/metrics", "/readyz", "/v1/sandboxes"):
            began = time.monotonic()
            answer = self._http.get(path)
            self._tally.promise(answer.status_code in (200, 503), f"{path}: {answer.status_code} {answer.text[:200]}")
            self._tally.promise(time.monotonic() - began < 5, f"{path} took {time.monotonic() - began:.1f} s")
        self._tally.count("looks")

    # -- and how they are judged ------------------------------------------------------------------------------------

    def _run(self, body: dict[str, object], status: str, within_s: float = _TIMEOUT_S) -> dict | None:
        """The run object, if it was run; whatever was answered instead has been counted."""
        answer = self._ask("/v1/run", body, within_s=within_s)
        if answer.status_code != 200:
            self._tally.refusal(answer, ran_perhaps=True)
            return None
        run: dict = answer.json()
        self._tally.count(run["status"])
        right = {status}
        if status == "oom" and self._pool_away():
            right.add("failed")  # without its pool, the gateway knows that it was killed, and not for what
        self._tally.promise(run["status"] in right, f"{run['status']}, and should have {status}: {str(run)[:600]}")
        return run if run["status"] == status else None

    def _ask(self, path: str, body: dict[str, object], *, within_s: float) -> httpx.Response:
        began = time.monotonic()
        answer = self._http.post(path, json=body)
        took = time.monotonic() - began
        self._tally.took(took)
        self._tally.promise(took < within_s + _GRACE_S + _BEYOND_S, f"{path} was answered after {took:.1f} s")
        return answer
