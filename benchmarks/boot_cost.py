"""What the filter of system calls costs a boot and a run: Petri's, the engine's own, and none, in turn.

    .venv/bin/python -m benchmarks.boot_cost [--rounds 40] [--language python] [--json FILE]

Needs a Docker engine and Petri's images, and a machine that does nothing else. Every round boots one sandbox under each
filter, in an order that changes from round to round, so that what else the machine does falls on all alike. Nothing is
trimmed.

create: the engine's create call. start: its start call, in which runc compiles the filter. boot: from the beginning of
create until the agent's HELLO is heard, the warm interpreter included. run: one line of code in that sandbox, from EXEC
to EXIT. All over the engine's API, as the pool does it. The difference is the median over the rounds of what this
filter took longer than the engine's own in the same round.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import uuid
from pathlib import Path

import anyio
import docker

from benchmarks.machine import machine
from benchmarks.programs import CODE, LANGUAGES
from petri import config
from pool.container_config import Owner, container_config
from pool.seccomp import security_opt
from pool.template import Template
from runners.channel import Channel, Transport
from runners.execution import Execution, ProgramFile, execute
from runners.messages import Hello, parse

FILTERS = {
    "petri": [security_opt()],
    "engine's own": [],
    "none": ["seccomp=unconfined"],
}
PHASES = ("create", "start", "create + start", "boot", "run")
COMPARED_WITH = "engine's own"
#: Of no slot of any pool.
UID = 209_997
MAIN = {"python": "main.py", "node": "main.js", "go": "main.go"}


def boot_and_run(api: docker.APIClient, template: Template, security_opts: list[str]) -> dict[str, float]:
    """Seconds of each phase of one sandbox, which is gone afterwards."""
    name = f"boot-cost-{uuid.uuid4().hex[:12]}"
    made = container_config(name, template, template.image, UID, Owner(name, name, "", ""))
    made["Labels"] = {}
    walls = made["HostConfig"]
    assert isinstance(walls, dict)
    walls["SecurityOpt"] = ["no-new-privileges:true", *security_opts]
    began = time.perf_counter()
    container = api.create_container_from_config(made, name)["Id"]
    created = time.perf_counter()
    try:
        wrapped = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stream": 1})
        attached = time.perf_counter()
        api.start(container)
        running = time.perf_counter()
        with Channel(wrapped._sock, Transport.DOCKER) as channel:
            heard, ran = anyio.run(hello_and_run, channel, template)
        wrapped.close()
    finally:
        api.remove_container(container, force=True, v=True)
    create, start = created - began, running - attached
    return {"create": create, "start": start, "create + start": create + start, "boot": heard - began, "run": ran}


async def hello_and_run(channel: Channel, template: Template) -> tuple[float, float]:
    """When HELLO was heard, and the seconds of a run."""
    parse(Hello, await channel.receive())
    heard = time.perf_counter()
    code = CODE[template.language].encode()
    main = MAIN[template.language]
    one_line = Execution(program=main, files=[ProgramFile(main, code)], timeout_s=60, last=True)
    before = time.perf_counter()
    outcome = await execute(channel, one_line)
    ran = time.perf_counter() - before
    if outcome.stdout != b"1\n":
        raise SystemExit(f"{template.language}: {outcome}")
    return heard, ran


def measure(api: docker.APIClient, template: Template, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by filter and phase."""
    taken: dict[str, dict[str, list[float]]] = {name: {phase: [] for phase in PHASES} for name in FILTERS}
    order = list(FILTERS)
    for number in range(-1, rounds):  # the first round warms up
        random.shuffle(order)
        for name in order:
            phases = boot_and_run(api, template, FILTERS[name])
            for phase in PHASES if number >= 0 else ():
                taken[name][phase].append(1000 * phases[phase])
    return taken


def summary(values: list[float], compared: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    differences = sorted(mine - other for mine, other in zip(values, compared, strict=True))
    return {
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "lowest": ordered[0],
        "difference": statistics.median(differences),
        "error": half_width(differences),
    }


def half_width(ordered: list[float]) -> float:
    """Half of the interval in which the median lies with about 68 % probability: from the ranks, whatever the shape."""
    away = len(ordered) ** 0.5 / 2
    low, high = (ordered[round((len(ordered) - 1) / 2 + sign * away)] for sign in (-1, 1))
    return (high - low) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--language", default="python", choices=LANGUAGES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = config.load(None)
    template = next(one for one in settings.templates if one.language == arguments.language)
    api = docker.from_env(timeout=60).api
    engine = api.version()
    host = f"{machine()}; docker {engine['Version']}"
    print(f"{host}; {template.image}, {arguments.rounds} rounds; milliseconds\n")
    taken = measure(api, template, arguments.rounds)
    result = {
        name: {phase: summary(values, taken[COMPARED_WITH][phase]) for phase, values in phases.items()}
        for name, phases in taken.items()
    }
    print(f"{'':16}{'filter':14}{'median':>9}{'p95':>9}{'lowest':>9}{'difference':>13}")
    for phase in PHASES:
        for name in FILTERS:
            row = result[name][phase]
            difference = "" if name == COMPARED_WITH else f"{row['difference']:+9.2f} ± {row['error']:.2f}"
            print(f"{phase:16}{name:14}{row['median']:9.2f}{row['p95']:9.2f}{row['lowest']:9.2f}{difference}")
    if arguments.json:
        what = {"machine": host, "rounds": arguments.rounds, "filters": result}
        arguments.json.write_text(json.dumps(what, indent=2) + "\n")


if __name__ == "__main__":
    main()
