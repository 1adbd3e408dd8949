"""What compiling and running Go costs without Petri in the very container: the bare tools, and `go run`.

A shell in a Go sandbox calls compiler, linker and program as the go command would, with the build's files and the
standard library that lie in the image, and takes the time itself. Rounds are apart, so that no round pays for the
processor share that the last one has used up. Every round has a source of its own: `go run` keeps nothing of it.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from benchmarks import timing
from benchmarks.bench import Bench, Results
from benchmarks.engine import Engine, running
from benchmarks.http_client import HttpClient
from benchmarks.instance import of_size
from benchmarks.programs import CODE

TITLE = "Go: bare tools beside go run"
TOOLCHAIN = "/opt/petri/go/toolchain.json"
_REST_S = 0.25
_TIMEOUT_S = 250.0


def run(bench: Bench) -> Results:
    tools = _toolchain()
    script = _script(tools, bench.effort.docker_runs)
    found: Results = {}
    with bench.petri({"go": of_size(4)}) as petri:
        client = HttpClient(petri.url, timeout_s=_TIMEOUT_S + 30)
        sandbox = client.request("POST", "/v1/sandboxes", {"language": "go", "timeout_s": 1200}).json()["id"]
        asked = {"argv": ["bash", "-c", script], "timeout_s": _TIMEOUT_S}
        answer = client.request("POST", f"/v1/sandboxes/{sandbox}/exec", asked)
        client.request("DELETE", f"/v1/sandboxes/{sandbox}")
    run = answer.json()
    if answer.status != 200 or run["status"] != "succeeded" or run["stderr"]:
        raise RuntimeError(f"the bare tools: {answer.status} {run.get('status')} {run.get('stderr', run)}")
    rows: dict[str, list[float]] = {}
    for line in run["stdout"].splitlines():
        name, microseconds = line.rsplit(" ", 1)
        rows.setdefault(name, []).append(int(microseconds) / 1e6)
    found |= {name: timing.figures(seconds[1:]) for name, seconds in rows.items()}  # the first warms up
    bench.say(", ".join(f"{name} {one['median']:.1f} ms" for name, one in found.items()))
    return found


def _toolchain() -> dict[str, Any]:
    with running("go") as container:
        tools: dict[str, Any] = json.loads(Engine().exec_run(container, ["cat", TOOLCHAIN]))
    return tools


def _script(tools: dict[str, Any], rounds: int) -> str:
    """bash, which has a clock of microseconds built in."""
    line = {name: shlex.join(tools[name]).replace("$WORK", "/tmp/bare") for name in ("compile", "link")}
    expected = '[ "$out" = 1 ] || { echo "said $out" >&2; exit 1; }'
    return f"""
        set -e
        cd /workspace
        mkdir -p /tmp/bare/b001/exe
        cp {tools["import_cfg"]} /tmp/bare/b001/importcfg
        {{ cat {tools["import_cfg"]}; printf '%s' {shlex.quote(tools["mod_info"])}; }} > /tmp/bare/b001/importcfg.link
        took() {{ echo "$1 $(( ${{3/./}} - ${{2/./}} ))"; }}
        for round in $(seq 0 {rounds}); do
            printf '%s\\n// %s\\n' {shlex.quote(CODE["go"])} "bare $round" > main.go
            sleep {_REST_S}
            a=$EPOCHREALTIME; {line["compile"]}
            b=$EPOCHREALTIME; {line["link"]}
            c=$EPOCHREALTIME; out=$(/tmp/bare/b001/exe/main)
            d=$EPOCHREALTIME; {expected}
            took compile $a $b; took link $b $c; took program $c $d; took 'bare compile + link + run' $a $d
            printf '%s\\n// %s\\n' {shlex.quote(CODE["go"])} "go run $round" > main.go
            sleep {_REST_S}
            a=$EPOCHREALTIME; out=$(go run main.go)
            b=$EPOCHREALTIME; {expected}
            took 'go run' $a $b
        done
    """
