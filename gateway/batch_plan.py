"""Turn the body of a batch into runs, whole and checked, or name every fault in all of them; before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import anyio.lowlevel

from gateway.intake import Plan, Templates, plan_run
from gateway.problems import Fault, Problem, invalid
from gateway.strict_json import Most
from pool.waiting import Priority

#: Contract.
MAX_RUNS = 1000
MAX_ID = 128
#: Structure of the whole body: what a thousand usual runs have, of some files, arguments and variables each.
MOST = Most(containers=16_384, values=131_072)
#: Faults that one answer names, as for a single run.
_MAX_NAMED = 100
#: Runs that are checked before others get their turn of the event loop; one takes some tens of microseconds.
_AT_A_TIME = 16


@dataclass(frozen=True, slots=True, eq=False)
class BatchRun:
    """One run of a batch; `index` is its place in the body, `id` the caller's own name for it."""

    index: int
    id: str | None
    plan: Plan


async def plan_batch(body: object, templates: Templates) -> list[BatchRun]:
    """`POST /v1/batch`."""
    given = _runs(body)
    runs: list[BatchRun] = []
    faults: list[Fault] = []
    ids: dict[str, int] = {}
    for index, members in enumerate(given):
        if index % _AT_A_TIME == 0:
            await anyio.lowlevel.checkpoint()
        if not isinstance(members, dict):
            faults.append(Fault(f"runs[{index}]", "must be a JSON object"))
            continue
        faults += (Fault(f"runs[{index}].{fault.field}", fault.message) for fault in _own_faults(members, index, ids))
        try:
            plan = plan_run({name: value for name, value in members.items() if name != "id"}, templates)
        except Problem as problem:
            faults += _of_run(problem, index)
        else:
            runs.append(BatchRun(index, cast(str | None, members.get("id")), replace(plan, priority=Priority.BATCH)))
    if len(faults) > _MAX_NAMED:
        faults[_MAX_NAMED:] = [Fault("body", f"and {len(faults) - _MAX_NAMED} faults more")]
    if faults:
        raise invalid(faults)
    return runs


def _runs(body: object) -> list[object]:
    if not isinstance(body, dict):
        raise invalid([Fault("body", "must be a JSON object")])
    faults = [Fault(name[:100] or "body", "is not a field of this request") for name in body if name != "runs"]
    if len(faults) > _MAX_NAMED:
        faults = [Fault("body", f"has {len(body)} members; there is only runs")]
    runs = body.get("runs")
    if "runs" not in body:
        faults.append(Fault("runs", "is required"))
    elif not isinstance(runs, list):
        faults.append(Fault("runs", "must be a JSON array"))
    elif not 1 <= len(runs) <= MAX_RUNS:
        faults.append(Fault("runs", f"has {len(runs)} entries; at least 1 and at most {MAX_RUNS}"))
    if faults:
        raise invalid(faults)
    return cast("list[object]", runs)


def _own_faults(members: dict[str, object], index: int, ids: dict[str, int]) -> Iterator[Fault]:
    """Of what a run has in a batch only."""
    if "id" in members:
        run_id = members["id"]
        if not isinstance(run_id, str) or not 1 <= len(run_id) <= MAX_ID:
            yield Fault("id", f"must be a string of 1 to {MAX_ID} characters")
        elif (first := ids.setdefault(run_id, index)) != index:
            yield Fault("id", f"is the same as runs[{first}].id")
    if members.get("priority") == "interactive":
        yield Fault("priority", "must be batch, which it is when it is left out")


def _of_run(problem: Problem, index: int) -> Iterator[Fault]:
    if problem.faults:
        for fault in problem.faults:
            field = f"runs[{index}]" if fault.field == "body" else f"runs[{index}].{fault.field}"
            yield Fault(field, fault.message)
    else:
        yield Fault(f"runs[{index}].language", problem.detail)
