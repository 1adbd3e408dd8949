"""What Petri is to reach, as ratios within one run, and whether the run reached it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """`met` is None where the run did not measure it."""

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Target:
    """`judge` raises KeyError where a part it needs is missing from the results."""

    what: str
    target: str
    judge: Callable[[dict[str, Any]], tuple[str, bool]]


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    return [_verdict(target, results) for target in TARGETS]


def _verdict(target: Target, results: dict[str, Any]) -> Verdict:
    try:
        measured, met = target.judge(results)
    except KeyError:
        return Verdict(target.what, target.target, "not measured in this run", None)
    return Verdict(target.what, target.target, measured, met)


def _median_beside_docker_run(language: str, ratio: float) -> Callable[[dict[str, Any]], tuple[str, bool]]:
    def judge(results: dict[str, Any]) -> tuple[str, bool]:
        row = results["sequential"][language]
        petri, docker = row["petri"]["median"], row["docker run"]["median"]
        return f"1/{docker / petri:.0f}: {petri:.2f} ms beside {docker:.0f} ms", docker / petri >= ratio

    return judge


def _p99(results: dict[str, Any]) -> tuple[str, bool]:
    row = results["sequential"]["python"]
    p99, docker, missed = row["petri"]["p99"], row["docker run"]["median"], row["petri"]["misses"]
    return f"1/{docker / p99:.0f}: {p99:.2f} ms, {missed} misses", docker / p99 >= 25


def _go_bare(results: dict[str, Any]) -> tuple[str, bool]:
    petri = results["sequential"]["go"]["petri"]["median"]
    bare = results["go_build"]["bare compile + link + run"]["median"]
    return f"{petri / bare:.2f} ×: {petri:.1f} ms beside {bare:.1f} ms", petri / bare <= 1.3


def _go_run(results: dict[str, Any]) -> tuple[str, bool]:
    petri, go_run = results["sequential"]["go"]["petri"]["median"], results["go_build"]["go run"]["median"]
    return f"{1 - petri / go_run:.0%} faster: {petri:.1f} ms beside {go_run:.1f} ms", petri <= 0.75 * go_run


def _peer(name: str, ratio: float) -> Callable[[dict[str, Any]], tuple[str, bool]]:
    def judge(results: dict[str, Any]) -> tuple[str, bool]:
        rows = results["peers"]["rows"]
        petri, peer = rows["petri"]["median"], rows[name]["median"]
        return f"{peer / petri:.0f} ×: {petri:.2f} ms beside {peer:.0f} ms", peer / petri >= ratio

    return judge


def _second_exec(results: dict[str, Any]) -> tuple[str, bool]:
    first, second = results["second_exec"]["first"]["median"], results["second_exec"]["second"]["median"]
    return f"{second / first:.2f} ×: {second:.2f} ms where the first takes {first:.2f}", second / first <= 1.5


def _burst(results: dict[str, Any]) -> tuple[str, bool]:
    burst, docker = results["tti"]["burst"], results["sequential"]["python"]["docker run"]["median"]
    median, last, failed = burst["median"] / docker, burst["last_ms"] / docker, sum(burst["errors"].values())
    measured = f"{median:.2f} × and {last:.2f} × ({burst['median']:.0f} and {burst['last_ms']:.0f} ms), {failed} errors"
    return measured, median <= 0.5 and last <= 1.5 and not failed


def _sustained(results: dict[str, Any]) -> tuple[str, bool]:
    found = results["sustained"]
    failed = sum(found["errors"].values())
    flat = _is_flat(found["rss_mib_before"], found["rss_mib_after"])
    ratio, bare = found["rate"] / found["bare"]["rate"], found["bare"]
    before, after = found["rss_mib_before"], found["rss_mib_after"]
    memory = ", ".join(f"{name} {before[name]:.1f} → {after[name]:.1f} MiB" for name in after) or "memory unseen"
    rates = f"{found['rate']:.2f}/s beside {bare['rate']:.2f}/s"
    measured = f"{ratio:.0%}: {rates}, {failed} errors, {memory}"
    return measured, ratio >= 0.9 and not failed and flat


def _is_flat(before: dict[str, float], after: dict[str, float]) -> bool:
    """Not a tenth more, and not 4 MiB: what an allocator may keep for itself."""
    return all(after[name] - earlier <= max(4.0, earlier / 10) for name, earlier in before.items())


def _open_loop(results: dict[str, Any]) -> tuple[str, bool]:
    found, sequential = results["open_loop"], results["sequential"]["python"]["petri"]["median"]
    ratio, failed = found["p99"] / sequential, sum(found["errors"].values())
    measured = f"p99 {found['p99']:.1f} ms = {ratio:.1f} ×, {found['misses']} misses, {failed} errors"
    return measured, ratio <= 10 and not found["misses"] and not failed


def _own_cpu(results: dict[str, Any]) -> tuple[str, bool]:
    spent = {name: results[name]["cpu_ms_per_run"]["together"] for name in ("open_loop", "sustained")}
    measured = f"{spent['open_loop']:.2f} ms in the open loop, {spent['sustained']:.2f} ms in the closed one"
    return measured, max(spent.values()) <= 1.5


def _idle(results: dict[str, Any]) -> tuple[str, bool]:
    found = results["idle"]
    cpu, each = found["cpu_ms"]["in the sandboxes"], found["mib_together"]
    shims = found["cpu_ms"]["their shims"]
    return f"{cpu:.2f} ms CPU (shims {shims:.2f} ms), {each:.1f} MiB each", cpu < 0.5 and each <= 16


def _start(results: dict[str, Any]) -> tuple[str, bool]:
    ratio = results["start_up"]["ratio"]
    return f"{ratio:.0%} of the engine's bare rate", ratio >= 0.8


TARGETS = (
    Target(
        "Python one-liner, sequential, one every 100 ms: median",
        "≤ 1/100 of docker run",
        _median_beside_docker_run("python", 100),
    ),
    Target("the same, p99, the pool refilling behind it", "≤ 1/25 of docker run's median", _p99),
    Target("Node one-liner, median", "≤ 1/60 of docker run", _median_beside_docker_run("node", 60)),
    Target("Go hello world, compiled and run, median", "≤ 1.3 × bare compile + link + run there", _go_bare),
    Target("the same, beside go run with a warm cache there", "≥ 25% faster", _go_run),
    Target("against llm-sandbox's pool of reused containers", "≥ 40 × faster", _peer("llm-sandbox, pool", 40)),
    Target("against docker exec into a running container", "≥ 15 × faster", _peer("docker exec", 15)),
    Target("second exec in a sandbox, back to back, Python", "≤ 1.5 × the first (3 ms where it takes 2)", _second_exec),
    Target(
        "burst, all at once, a pool as large: median / last answer",
        "≤ 1/2 / ≤ 1.5 × one docker run; no error",
        _burst,
    ),
    Target(
        "sustained, closed loop of 8 clients, fresh sandboxes",
        "≥ 90% of the engine's bare rate; no error; memory flat",
        _sustained,
    ),
    Target("open loop at half that rate, Poisson arrivals", "p99 ≤ 10 × the sequential median; 0 misses", _open_loop),
    Target("what Petri itself spends per run (gateway and pool)", "≤ 1.5 ms CPU", _own_cpu),
    Target("idle Python sandboxes", "0 CPU; ≤ 16 MiB each, shim included", _idle),
    Target("start of petri up: 8 Python, 4 Node, 2 Go to ready", "≥ 80% of the engine's bare rate", _start),
)
