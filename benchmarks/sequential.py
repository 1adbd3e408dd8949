"""One-liners one after the other, one every 100 ms, each in a fresh sandbox, beside `docker run` of the same image.

The pool is large enough that every request finds a sandbox ready and refills behind them; misses are counted. A second
series goes through httpx, to show what a client of one's own may add.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks import schedule, timing
from benchmarks.bench import Bench, Results, own_share
from benchmarks.http_client import Answer
from benchmarks.instance import Petri, misses, of_size
from benchmarks.load import Shot, errors, follow, right
from benchmarks.programs import CODE, LANGUAGES, OUTPUT, docker_run, one_shots

TITLE = "One after the other"
EVERY_S = 0.1


def run(bench: Bench) -> Results:
    found: Results = {"every_s": EVERY_S}
    for language in LANGUAGES:
        found[language] = measured = {}
        with bench.petri({language: of_size(2 * bench.effort.runs // 3)}) as petri:
            measured["petri"] = sequence(petri, language, bench.effort.runs)
            if language == "python":
                petri.wait_until_full()
                measured["through httpx"] = through_httpx(petri, language, bench.effort.runs)
        measured["docker run"] = timing.figures(docker_runs(language, bench.effort.docker_runs))
        ratio = measured["docker run"]["median"] / measured["petri"]["median"]
        bench.say(f"{language}: {measured['petri']['median']:.2f} ms, docker run / petri = {ratio:.0f}")
    return found


def sequence(petri: Petri, language: str, runs: int) -> dict[str, Any]:
    """Times, the stages of a run as the server tells them, and how many found no sandbox ready."""
    stages: list[dict[str, float]] = []
    before = petri.lease_outcomes(language)
    result: dict[str, Any] = {}
    with own_share(result):
        connect = one_shots(petri.url, language, lambda answer: stages.append(server_timing(answer)))
        shots = follow(schedule.every(EVERY_S, runs), 1, connect)
    result |= {**figures(shots), "misses": misses(before, petri.lease_outcomes(language))}
    names = stages[0] if stages else {}
    result["stages"] = {name: timing.summary([one.get(name, 0.0) / 1000 for one in stages]).median for name in names}
    return result


def figures(shots: Sequence[Shot], *, from_due: bool = False) -> dict[str, Any]:
    """Of those that were right; what went wrong is counted by its words."""
    seconds = [shot.seconds_from_due if from_due else shot.seconds for shot in right(shots)]
    if not seconds:
        raise RuntimeError(f"not one request was answered: {errors(shots)}")
    return {**timing.figures(seconds), "errors": errors(shots)}


def server_timing(answer: Answer) -> dict[str, float]:
    """Milliseconds of each stage."""
    found = re.findall(r"([\w-]+);dur=([0-9.]+)", answer.header("server-timing"))
    return {stage: float(value) for stage, value in found}


def through_httpx(petri: Petri, language: str, runs: int) -> dict[str, Any]:
    """The same with the client that most Python programs would use."""
    seconds = []
    with httpx.Client(base_url=petri.url, timeout=60.0, trust_env=False) as client:
        client.get("/healthz").raise_for_status()
        start = time.perf_counter()
        for due in schedule.every(EVERY_S, runs):
            time.sleep(max(0.0, start + due - time.perf_counter()))
            before = time.perf_counter()
            answer = client.post("/v1/run", json={"language": language, "code": CODE[language]})
            seconds.append(time.perf_counter() - before)
            assert answer.json()["stdout"] == OUTPUT, answer.text
    return timing.figures(seconds)


def docker_runs(language: str, runs: int) -> list[float]:
    """Seconds of each `docker run`, from starting the command to its end; a first one is not counted."""
    return commands([docker_run(language)] * (runs + 1))[1:]


def commands(argvs: list[list[str]]) -> list[float]:
    """Seconds of each. All must say 1."""
    seconds = []
    for argv in argvs:
        before = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - before)
        if done.stdout != OUTPUT:
            raise RuntimeError(f"{argv[:3]} went wrong: {done.stdout!r} {done.stderr[:500]!r}")
    return seconds
