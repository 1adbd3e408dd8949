"""Sequential one-liners through `POST /v1/run`, beside `docker run` of the same image in the same run.

    .venv/bin/python -m benchmarks.one_liners [--runs 100] [--every 0.5] [--docker-runs 20] [--json FILE]

Needs a running Petri (`scripts/up --detach`) and the `docker` command. What is measured: from sending the request to
having the whole answer, over one kept connection on loopback, each run in a sandbox that was never used. `docker
run` is timed from starting the command to its end. Runs start `--every` seconds apart, so that the pool refills
between them as it would in a service that is not at its limit; nothing is trimmed, failures end the program.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

PROGRAMS = {
    "python": ("print(1)", ["python3", "-c", "print(1)"]),
    "node": ("console.log(1)", ["node", "-e", "console.log(1)"]),
    "go": ('package main\nimport "fmt"\nfunc main() { fmt.Println(1) }\n', None),
}


@dataclass(frozen=True)
class Row:
    """Milliseconds."""

    language: str
    way: str
    runs: int
    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, language: str, way: str, seconds: list[float]) -> Row:
        ordered = sorted(1000 * one for one in seconds)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        return cls(language, way, len(ordered), statistics.median(ordered), p99, ordered[-1])


def through_petri(client: httpx.Client, language: str, runs: int, every: float) -> list[float]:
    """Seconds of each run; the first connection is made before."""
    code = PROGRAMS[language][0]
    client.get("/healthz").raise_for_status()
    taken = []
    start = time.perf_counter()
    for number in range(runs):
        time.sleep(max(0.0, start + number * every - time.perf_counter()))
        before = time.perf_counter()
        answer = client.post("/v1/run", json={"language": language, "code": code})
        taken.append(time.perf_counter() - before)
        if answer.status_code != 200 or answer.json()["stdout"] != "1\n":
            raise SystemExit(f"{language}: run {number} went wrong: {answer.status_code} {answer.text[:300]}")
    return taken


def docker_run(image: str, language: str, runs: int) -> list[float]:
    """Seconds of each `docker run` of the same one-liner, without a network as Petri's sandboxes are."""
    command = ["docker", "run", "--rm", "--network", "none", "--log-driver", "none"]
    command += ["--tmpfs", "/tmp:exec", "--tmpfs", "/workspace:exec", "--read-only"]
    argv = PROGRAMS[language][1]
    if argv is None:  # what a user without Petri would do: compile and run
        code = PROGRAMS[language][0]
        argv = ["sh", "-c", f"cat > main.go <<'EOF'\n{code}EOF\ngo run main.go"]
    command += ["--entrypoint", argv[0], image, *argv[1:]]
    taken = []
    for _ in range(runs):
        before = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        taken.append(time.perf_counter() - before)
        if done.stdout != "1\n":
            raise SystemExit(f"docker run of {image} went wrong: {done.stdout!r} {done.stderr!r}")
    return taken


def machine() -> str:
    """The machine, in a line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {platform.release()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("PETRI_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--every", type=float, default=0.5, help="seconds from one start to the next")
    parser.add_argument("--docker-runs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with httpx.Client(base_url=arguments.url, timeout=60.0, trust_env=False) as client:
        pools = {pool["template"]: pool for pool in client.get("/v1/pools").json()["pools"]}
        engine = next(iter(pools.values()))["engine"]
        print(f"{machine()}; {engine}; freezer {next(iter(pools.values()))['freezer']}\n")
        print(f"{'':8} {'':10} {'runs':>5} {'median ms':>10} {'p99 ms':>8} {'worst ms':>9}")
        for language in PROGRAMS:
            if language not in pools:
                continue
            rows.append(Row.of(language, "petri", through_petri(client, language, arguments.runs, arguments.every)))
            rows.append(
                Row.of(language, "docker run", docker_run(f"petri/{language}", language, arguments.docker_runs))
            )
            for row in rows[-2:]:
                print(f"{row.language:8} {row.way:10} {row.runs:5} {row.median:10.2f} {row.p99:8.2f} {row.worst:9.2f}")
            print(f"{'':8} docker run / petri = {rows[-1].median / rows[-2].median:.0f}")
    if arguments.json:
        result = {"machine": machine(), "engine": engine, "every_s": arguments.every, "rows": list(map(asdict, rows))}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
