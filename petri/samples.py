"""One small program per language, to show a Petri that has just started at work."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click

from petri.client import Client, GatewayFault
from pool.template import Template

_CODE = {
    "python": 'import platform\nprint("hello from Python", platform.python_version())',
    "node": 'console.log("hello from Node", process.versions.node)',
    "go": 'package main\nimport ("fmt"; "runtime")\nfunc main() { fmt.Println("hello from", runtime.Version()) }',
}
_BEGINS = {"python": "hello from Python 3.", "node": "hello from Node ", "go": "hello from go1."}


def show(client: Client, templates: Iterable[Template]) -> bool:
    """Run a sample per template and print result and time; True when all were right."""
    all_right = True
    for template in templates:
        started = time.perf_counter()
        try:
            answer, _ = client.run(
                {
                    "language": template.name,
                    "code": _CODE[template.language],
                    "timeout_s": min(30.0, template.max_timeout_s),
                }
            )
        except GatewayFault as fault:
            click.echo(f"  {template.name:<8} {fault}")
            all_right = False
            continue
        milliseconds = (time.perf_counter() - started) * 1000
        right = answer["exit_code"] == 0 and answer["stdout"].startswith(_BEGINS[template.language])
        said = answer["stdout"].strip() if right else f"{answer['status']}: {answer['output'].strip()!r}"
        click.echo(f"  {template.name:<8} {milliseconds:7.1f} ms   {said}")
        all_right = all_right and right
    return all_right
