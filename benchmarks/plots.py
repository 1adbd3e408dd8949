"""The report's sections: for each part that ran its plots and its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

from benchmarks import svg

_COLUMNS = ("runs", "lowest", "median", "p95", "p99", "p999", "highest")


def sections(results: Mapping[str, Any]) -> Iterator[str]:
    for name, (title, draw) in _PARTS.items():
        if name in results:
            yield f"<h2>{escape(title)}</h2>{draw(results[name])}"
    if "calm" in results:
        yield "<h2>The machine, before and after each part</h2>" + _calm(results["calm"])
    for name, why in results.get("failed", {}).items():
        yield f"<h2>{escape(name)}: not measured</h2><pre>{escape(why)}</pre>"


def _figures(rows: Mapping[str, Mapping[str, Any]], *extra: str) -> str:
    """Milliseconds."""
    head = "".join(f"<th>{name}" for name in (*_COLUMNS, *extra))
    body = ""
    for name, row in rows.items():
        cells = [row[column] for column in _COLUMNS] + [row.get(column, "") for column in extra]
        shown = "".join(f"<td class=n>{_cell(value)}" for value in cells)
        body += f"<tr><td>{escape(name)}{shown}</tr>"
    return f"<table><tr><th>ms{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))


def _pairs(rows: Mapping[str, object]) -> str:
    body = "".join(f"<tr><td>{escape(name)}<td>{_cell(value)}</tr>" for name, value in rows.items())
    return f"<table>{body}</table>"


def _sequential(found: Mapping[str, Any]) -> str:
    rows = {
        f"{language}, {way}": row
        for language, ways in found.items()
        if isinstance(ways, dict)
        for way, row in ways.items()
    }
    stages = {language: ways["petri"]["stages"] for language, ways in found.items() if isinstance(ways, dict)}
    drawn = svg.distribution({name: row["ms"] for name, row in rows.items()}, "milliseconds")
    drawn += _figures(rows, "misses", "load_generator_cores")
    for language, named in stages.items():
        drawn += f"<h3>Where the time of one {escape(language)} run goes</h3>" + svg.stack(of_one_run(named), "ms")
    return drawn


def of_one_run(stages: Mapping[str, float]) -> dict[str, float]:
    """Stages that follow one another, without those that are sums of others. `thaw` is a part of `lease`."""
    order = ("parse", "queue", "thaw", "lease", "send", "first-byte", "exit", "respond")
    shown = {name: stages[name] for name in order if name in stages}
    if {"lease", "thaw"} <= shown.keys():
        shown["lease"] = max(0.0, shown["lease"] - shown["thaw"])
    return shown


def _tti(found: Mapping[str, Any]) -> str:
    series = {name: list(enumerate(row["ms"])) for name, row in found.items()}
    trimmed = {f"{name}, 5 % trimmed at each end": row["trimmed"] for name, row in found.items()}
    ramp = svg.lines(series, "number of the sandbox", "ms", log_y=True, dots=True)
    return ramp + _figures({**found, **trimmed}, "last_ms", "computesdk_score", "misses", "load_generator_cores")


def _rows(found: Mapping[str, Any]) -> str:
    return svg.distribution({name: row["ms"] for name, row in found.items()}, "milliseconds") + _figures(found)


def _peers(found: Mapping[str, Any]) -> str:
    rows = found["rows"]
    drawn = svg.bars({name: row["median"] for name, row in rows.items()}, "ms") + _figures(rows, "isolation")
    return drawn + _pairs({f"left out: {name}": why for name, why in found["left_out"].items()} | found["versions"])


def _sustained(found: Mapping[str, Any]) -> str:
    points = list(zip(found["ended_s"], found["ms"], strict=False))
    drawn = svg.lines({"answers": points}, "seconds", "ms", dots=True) + _figures({"closed loop": found})
    bare = found["bare"]
    return drawn + _pairs(
        {
            "rate, per second": found["rate"],
            "the engine alone": bare["rate"],
            "the engine alone, by concurrency": bare["tried"],
            "the engine alone, agent heard": bare["rate_heard"],
            **_spent(found),
            "pool before and after": f"{found['pool_before']} {found['pool_after']}",
        }
    )


def _spent(found: Mapping[str, Any]) -> dict[str, object]:
    return {
        "Petri's CPU per run, ms": found["cpu_ms_per_run"],
        "Petri's memory before, MiB": found["rss_mib_before"],
        "Petri's memory after, MiB": found["rss_mib_after"],
        "load generator, processors": found["load_generator_cores"],
        "errors": found["errors"] or "none",
    }


def _open_loop(found: Mapping[str, Any]) -> str:
    points = list(zip(found["due_s"], found["ms"], strict=False))
    drawn = svg.lines({"answers": points}, "seconds", "ms from the intended start", log_y=True, dots=True)
    more = {"misses": found["misses"], "latest start by the load generator, ms": found["latest_start_ms"]}
    return drawn + _figures({"open loop": found}) + _pairs({**more, **_spent(found)})


def _idle(found: Mapping[str, Any]) -> str:
    each = {f"{name}, MiB each": value for name, value in found["mib_each"].items()}
    together = {"charged and shim's PSS together": found["mib_together"], "host": found["mib_by_the_hosts_count"]}
    return _pairs(
        {"sandboxes": found["sandboxes"], "seconds": found["seconds"], "CPU, ms": found["cpu_ms"]} | each | together
    )


def _growth(found: Mapping[str, Any]) -> str:
    sizes = [(float(size), row) for size, row in found.items()]
    latency = {share: [(size, row[share]) for size, row in sizes] for share in ("median", "p99")}
    drawn = svg.lines(latency, "sandboxes in the pool", "ms")
    rows = {f"pool of {size}": row for size, row in found.items()}
    return drawn + _figures(rows, "full_after_s", "boots_per_s", "mib_together", "mib_by_the_hosts_count")


def _calm(found: Mapping[str, Any]) -> str:
    rows = {
        f"{part}, {when}": f"{look['busy']:.1%} busy, {look['cold_page_us']:.2f} µs for a page not touched for a second"
        for part, looks in found.items()
        for when, look in looks.items()
    }
    return _pairs(rows)


def _locust(found: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in found["rows"][0])
    rows = "".join("<tr>" + "".join(f"<td>{_cell(value)}" for value in row.values()) for row in found["rows"])
    return f"<table><tr>{head}</tr>{rows}</table>"


_PARTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "sequential": ("One after the other, one every 100 ms", _sequential),
    "tti": ("Time to interactive: staggered and burst", _tti),
    "second_exec": ("Runs in one sandbox, back to back", _rows),
    "go_build": ("Go without Petri, in the same container", _rows),
    "peers": ("Peers, Python, medians", _peers),
    "sustained": ("Sustained: a closed loop of eight clients", _sustained),
    "open_loop": ("Open loop: Poisson arrivals at half that rate", _open_loop),
    "locust": ("The same with locust", _locust),
    "idle": ("Idle sandboxes", _idle),
    "growth": ("Growth", _growth),
    "start_up": ("Start", _pairs),
}
