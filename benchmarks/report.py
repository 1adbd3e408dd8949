"""One report of one run: JSON with every time, HTML with plots, and the table of targets for the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.targets import Verdict, verdicts

_MARK = {True: "met", False: "NOT MET", None: "–"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1d1f23; --soft: #6b7280; --line: #d6d9df; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7ea; --soft: #9aa1ad; --line: #3a3f48; --paper: #16181c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: 1rem 0;
        font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
td.n { text-align: right } td.met { color: #2a9d62 } td.not { color: #cf3f3f; font-weight: 600 }
svg { width: 100%; height: auto } svg text { fill: var(--soft); font-size: 12px } .grid { stroke: var(--line) }
.legend span { margin-right: 1.2em; white-space: nowrap } .legend i { display: inline-block; width: .8em; height: .8em;
  margin-right: .4em } .soft { color: var(--soft) } h2 { margin-top: 2.5rem }
"""


def document(about: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """What is written as JSON: all there is. The same `results` always give the same verdicts."""
    return {"about": about, "targets": [asdict(one) for one in verdicts(results)], "results": results}


def table(results: dict[str, Any]) -> str:
    """Each target, what was measured, met or not."""
    rows = [(one.what, one.target, one.measured, _MARK[one.met]) for one in verdicts(results)]
    head = ("what", "target", "measured", "")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(results: dict[str, Any]) -> str:
    """The same table for a document."""
    rows = [f"| {one.what} | {one.target} | {one.measured} | {_MARK[one.met]} |" for one in verdicts(results)]
    return "\n".join(["| what | target | measured | |", "|---|---|---|---|", *rows])


def page(about: dict[str, Any], results: dict[str, Any]) -> str:
    """HTML that loads nothing."""
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in about.items())
    sections = "".join(plots.sections(results))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Petri: benchmarks</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>Petri, measured</h1><table>{facts}</table>"
        f"<h2>Targets</h2>{_targets(verdicts(results))}{sections}</html>\n"
    )


def _targets(judged: Sequence[Verdict]) -> str:
    kind = {True: "met", False: "not", None: "soft"}
    rows = "".join(
        f"<tr><td>{escape(one.what)}<td>{escape(one.target)}<td>{escape(one.measured)}"
        f"<td class={kind[one.met]}>{_MARK[one.met]}</tr>"
        for one in judged
    )
    return f"<table><tr><th>what<th>target<th>measured<th></tr>{rows}</table>"


def write(directory: Path, about: dict[str, Any], results: dict[str, Any]) -> tuple[Path, Path]:
    """The two files, named by the run's moment."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = "".join(character for character in about["started"] if character.isalnum())
    as_json, as_html = directory / f"{stem}.json", directory / f"{stem}.html"
    as_json.write_text(json.dumps(document(about, results), indent=1, ensure_ascii=False) + "\n")
    as_html.write_text(page(about, results))
    return as_json, as_html
