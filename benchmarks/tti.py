"""Time to interactive as ComputeSDK measures it in public: a ramp of sandboxes, 200 ms apart, and a burst of all.

Its clock runs from asking for a sandbox to the answer of the first trivial command in it; here that is one request,
`POST /v1/run`, over loopback, where theirs crosses a network. Figures are of all runs; those with 5 % trimmed at each
end, as ComputeSDK publishes them, stand beside. It runs `node -v`; so does the ramp here, through a session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks import schedule, timing
from benchmarks.bench import Bench, Results, own_share
from benchmarks.http_client import Answer, HttpClient, Wrong, encoded
from benchmarks.instance import Petri, misses, of_size
from benchmarks.load import Send, Shot, errors, follow, right
from benchmarks.programs import one_shots
from benchmarks.sequential import figures

TITLE = "Time to interactive: staggered and burst"
STAGGER_S = 0.2


def run(bench: Bench) -> Results:
    runs = bench.effort.runs
    found: Results = {}
    with bench.petri({"python": of_size(runs)}) as petri:
        starts = schedule.every(STAGGER_S, runs)
        found["staggered"] = measured(petri, "python", lambda: follow(starts, runs, one_shots(petri.url, "python")))
        petri.wait_until_full()
        burst = schedule.at_once(runs)
        found["burst"] = measured(petri, "python", lambda: follow(burst, runs, one_shots(petri.url, "python")))
        petri.wait_until_full()
    if bench.live is None or "node" in bench.live.pools():
        with bench.petri({"node": of_size(runs)}) as petri:
            sequence = schedule.every(0.1, runs)
            found["node -v"] = measured(petri, "node", lambda: follow(sequence, 1, sessions(petri.url)))
    for name, one in found.items():
        bench.say(f"{name}: {one['median']:.1f} ms, p99 {one['p99']:.1f}, last after {one['last_ms']:.0f} ms")
    return found


def measured(petri: Petri, template: str, shoot: Callable[[], list[Shot]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    before = petri.lease_outcomes(template)
    with own_share(result):
        shots = shoot()
    seconds = [shot.seconds for shot in right(shots)]
    return {
        **result,
        **figures(shots),
        "trimmed": asdict(timing.summary(timing.trimmed(seconds))),
        "computesdk_score": round(timing.computesdk_score(seconds, sum(errors(shots).values())), 2),
        "last_ms": round(1000 * max(shot.ended for shot in shots), 3),
        "misses": misses(before, petri.lease_outcomes(template)),
    }


def sessions(url: str) -> Callable[[], Send]:
    """Clients that make a sandbox and run `node -v` in it, both timed; it is deleted when the clock has stopped."""

    def connect() -> Send:
        client = HttpClient(url)
        client.request("GET", "/healthz")
        create = encoded("POST", "/v1/sandboxes", {"language": "node"})

        def send() -> Callable[[], None]:
            made = client.send(create)
            sandbox = made.json()["id"]
            answer = client.request("POST", f"/v1/sandboxes/{sandbox}/exec", {"argv": ["node", "-v"]})

            def judge() -> None:
                client.request("DELETE", f"/v1/sandboxes/{sandbox}")
                _demand_a_version(answer)

            return judge

        return send

    return connect


def _demand_a_version(answer: Answer) -> None:
    if answer.status != 200 or not answer.json()["stdout"].startswith("v"):
        raise Wrong(f"{answer.status} {answer.body[:200]!r}")
