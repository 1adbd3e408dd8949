"""Put the numbers of one report into docs/performance.md and README.md: none of them is typed by hand.

.venv/bin/python -m benchmarks.document benchmarks/results/REPORT.json
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import boot_cost, report, svg
from benchmarks.plots import of_one_run

_ROOT = Path(__file__).parent.parent
_DOCS = _ROOT / "docs"
_STYLE = (
    "<style>text { font: 13px system-ui, sans-serif; fill: #444 } .soft { fill: #777 }"
    "@media (prefers-color-scheme: dark) { text { fill: #ccc } }</style>"
)


def filled(document: str, blocks: Mapping[str, str]) -> str:
    """`document` with each block between its `<!-- NAME -->` and `<!-- end -->`; KeyError where a name has no place."""
    for name, block in blocks.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(document):
            raise KeyError(f"there is no <!-- {name} --> to fill")
        document = place.sub(lambda found, block=block: f"{found[1]}{block}\n{found[2]}", document)  # type: ignore[misc]
    return document


def blocks(about: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, str]:
    return {
        "run": _table(("", ""), [(name, str(about[name])) for name in about if name not in ("command", "effort")]),
        "targets": report.markdown(dict(results)),
        "languages": _languages(results["sequential"]),
        "tti": _tti(results["tti"]),
        "peers": _peers(results["peers"]),
        "load": _load(results["sustained"], results["open_loop"]),
        "idle": _idle(results["idle"]),
        "growth": _growth(results["growth"]),
        "whose": _whose(results["whose_time"]),
        "boot": _boot(results["boot_cost"]),
        "calm": _calm(results["calm"]),
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _languages(found: Mapping[str, Any]) -> str:
    rows = []
    for language, ways in found.items():
        if not isinstance(ways, dict):
            continue
        for way, one in ways.items():
            times = [f"{one[name]:.2f}" for name in ("median", "p95", "p99", "highest")]
            rows.append([f"{language}, {way}", str(one["runs"]), *times, str(one.get("misses", ""))])
    return _table(("ms", "runs", "median", "p95", "p99", "highest", "misses"), rows)


def _tti(found: Mapping[str, Any]) -> str:
    rows = []
    for name, one in found.items():
        of = [f"{one[share]:.1f}" for share in ("median", "p95", "p99")]
        cut = [f"{one['trimmed'][share]:.1f}" for share in ("median", "p95", "p99")]
        rows.append([name, *of, " / ".join(cut), f"{one['last_ms']:.0f}", f"{one['computesdk_score']:.2f}"])
    return _table(("ms", "median", "p95", "p99", "the three, trimmed", "last answer after", "ComputeSDK's score"), rows)


def _peers(found: Mapping[str, Any]) -> str:
    petri = found["rows"]["petri"]["median"]
    rows = [
        [name, row["isolation"], f"{row['median']:.2f}", f"{row['p95']:.2f}", f"{row['median'] / petri:.1f}"]
        for name, row in found["rows"].items()
    ]
    rows += [[name, f"left out: {why}", "", "", ""] for name, why in found["left_out"].items()]
    return _table(("", "what runs in", "median ms", "p95", "× petri"), rows)


def _load(closed: Mapping[str, Any], opened: Mapping[str, Any]) -> str:
    rows = []
    for name, one in (("closed loop of 8", closed), ("open loop, from the intended start", opened)):
        cpu = one["cpu_ms_per_run"]
        rows.append(
            [name, str(one["runs"]), f"{one.get('rate', one.get('intended_rate')):.2f}"]
            + [f"{one[share]:.1f}" for share in ("median", "p99", "p999")]
            + [f"{cpu['gateway']:.2f} + {cpu['pool']:.2f}", f"{one['load_generator_cores']:.1%}"]
        )
    bare = closed["bare"]
    tried = ", ".join(f"{count}: {rate:.1f}" for count, rate in bare["tried"].items())
    head = ("", "runs", "per second", "median ms", "p99", "p99.9", "CPU ms a run, gateway + pool", "of a core, load")
    return _table(head, rows) + (
        f"\n\nThe engine alone: {bare['rate']:.2f} a second with {bare['concurrency']} at once "
        f"(by concurrency: {tried}); {bare['rate_heard']:.2f} where each agent's first word is waited for."
    )


def _idle(found: Mapping[str, Any]) -> str:
    words = {
        "charged": "the sandbox's cgroup, in all",
        "private": "of that: private pages of agent and interpreter",
        "files": "of that: tmpfs and page cache",
        "kernel": "of that: kernel",
        "shim_pss": "the engine's shim, PSS",
        "shim_rss": "the same, RSS",
    }
    rows = [[words[name], f"{found['mib_each'][name]:.2f}"] for name in words]
    rows.append(["**cgroup and shim (PSS) together**", f"**{found['mib_together']:.2f}**"])
    rows.append(["what MemAvailable lost, Petri's own processes aside", f"{found['mib_by_the_hosts_count']:.2f}"])
    cpu = ", ".join(f"{name} {value:.2f} ms" for name, value in found["cpu_ms"].items())
    return f"{found['sandboxes']} sandboxes over {found['seconds']:g} s, processor time: {cpu}.\n\n" + _table(
        ("MiB each", ""), rows
    )


def _growth(found: Mapping[str, Any]) -> str:
    rows = []
    for size, one in found.items():
        rss = one["petri_rss_mib"]
        filling = [f"{one['full_after_s']:.1f} s", f"{one['boots_per_s']:.1f}"]
        latency = [f"{one['median']:.2f}", f"{one['p99']:.2f}"]
        rows.append(
            [size, *filling, *latency, f"{one['mib_together']:.1f}", f"{rss['gateway']:.0f} + {rss['pool']:.0f}"]
        )
    head = ("pool", "full after", "boots a second", "median ms", "p99", "MiB each", "gateway + pool, MiB")
    return _table(head, rows)


def _whose(found: Mapping[str, Any]) -> str:
    if "left out" in found:
        return f"Left out: {found['left out']}."
    names = list(dict.fromkeys(name for one in found.values() for name in one["ms_a_run"]))
    rows = [
        [f"{way}, {one['runs']} runs"] + [f"{one['ms_a_run'].get(name, 0.0):.2f}" for name in names]
        + [f"{sum(one['ms_a_run'].values()):.2f}"]
        for way, one in found.items()
    ]  # fmt: skip
    return _table(("ms of a processor a run", *names, "in all"), rows)


def _boot(found: Mapping[str, Any]) -> str:
    rows = []
    for name, one in found["options"].items():
        first = not one["loses"]
        cells = [f"{one[phase]['value']:.1f}" if first else _signed(one[phase]) for phase in boot_cost.PHASES]
        rows.append([f"**{name}**" if first else name, *cells, one["loses"]])
    return f"{found['rounds']} rounds.\n\n" + _table(("ms", *boot_cost.PHASES, "what a sandbox would lose"), rows)


def _signed(phase: Mapping[str, float]) -> str:
    return f"{phase['difference']:+.1f} ± {phase['error']:.1f}"


def _calm(found: Mapping[str, Any]) -> str:
    rows = [
        [part]
        + [f"{looks[when]['busy']:.1%}" for when in ("before", "after")]
        + [f"{looks[when]['cold_page_us']:.2f}" for when in ("before", "after")]
        for part, looks in found.items()
    ]
    return _table(("part", "busy before", "after", "µs for a page not touched for a second, before", "after"), rows)


def picture(results: Mapping[str, Any]) -> str:
    """Where the time of one run goes, by language, as a file of its own."""
    rows, y = [], 0
    for language, ways in results["sequential"].items():
        if isinstance(ways, dict):
            stages = of_one_run(ways["petri"]["stages"])
            rows.append(svg.named_stack(f"{language}, {sum(stages.values()):.2f} ms in the gateway", stages, y))
            y += svg.NAMED_STACK_HEIGHT
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {y}">{_STYLE}{"".join(rows)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    whole = json.loads(parser.parse_args().report.read_text())
    made = blocks(whole["about"], whole["results"])
    for file, names in ((_DOCS / "performance.md", list(made)), (_ROOT / "README.md", ["targets"])):
        file.write_text(filled(file.read_text(), {name: made[name] for name in names}))
    (_DOCS / "performance-stages.svg").write_text(picture(whole["results"]))


if __name__ == "__main__":
    main()
