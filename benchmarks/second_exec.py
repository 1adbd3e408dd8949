"""Two runs in one sandbox, back to back: what the second costs, whose interpreter has to be had anew."""

from __future__ import annotations

import time

from benchmarks import timing
from benchmarks.bench import Bench, Results
from benchmarks.http_client import HttpClient, encoded
from benchmarks.instance import of_size
from benchmarks.programs import CODE, demand

TITLE = "The second run in a sandbox"
EXECS = 3


def run(bench: Bench) -> Results:
    rounds = bench.effort.peer_runs
    taken: list[list[float]] = [[] for _ in range(EXECS)]
    body = {"code": CODE["python"]}
    with bench.petri({"python": of_size(16)}) as petri:
        client = HttpClient(petri.url)
        for _ in range(rounds):
            petri.wait_until_full()
            sandbox = client.request("POST", "/v1/sandboxes", {"language": "python"}).json()["id"]
            request = encoded("POST", f"/v1/sandboxes/{sandbox}/exec", body)
            answers = []
            for execs in taken:
                before = time.perf_counter()
                answers.append(client.send(request))
                execs.append(time.perf_counter() - before)
            for answer in answers:
                demand(answer)
            client.request("DELETE", f"/v1/sandboxes/{sandbox}")
    found: Results = {name: timing.figures(one) for name, one in zip(("first", "second", "third"), taken, strict=True)}
    bench.say(f"first {found['first']['median']:.2f} ms, second {found['second']['median']:.2f} ms")
    return found
