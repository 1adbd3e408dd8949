"""Render the table as the profile that an engine reads: Docker's JSON, which is OCI's with a map of machines."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from pool.seccomp.rule import POINTER, Action, Argument, Group
from pool.seccomp.table import GROUPS

#: The machines, each without the 32-bit ones that it can play: there one call, socketcall, makes whatever socket lies
#: described in memory. A process that calls the kernel that way is killed. Of the map an engine compiles only its own
#: machine, which is also what makes a start quicker than with three.
_MACHINES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")

_ERRNO = {Action.ENOSYS: 38, Action.EINVAL: 22}


def profile(groups: Sequence[Group]) -> dict[str, object]:
    """What is allowed, and what is refused with anything but EPERM, which everything else gets."""
    return {
        # No defaultErrnoRet: engines before 22 pass it over in silence, so the profile must mean the same without.
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": machine, "subArchitectures": []} for machine in _MACHINES],
        "syscalls": [rule for group in groups for rule in _rules(group)],
    }


def _rules(group: Group) -> list[dict[str, object]]:
    if group.action is Action.EPERM:
        return []
    names = sorted(group.calls)
    if group.action is not Action.ALLOW:
        return [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": _ERRNO[group.action]}]
    if not group.cases:
        return [{"names": names, "action": "SCMP_ACT_ALLOW"}]
    return [
        {"names": names, "action": "SCMP_ACT_ALLOW", "args": [_condition(argument) for argument in case]}
        for case in group.cases
    ]


def _condition(argument: Argument) -> dict[str, object]:
    if argument.mask == POINTER:
        return {"index": argument.index, "value": argument.value, "op": "SCMP_CMP_EQ"}
    # Here `value` is the mask, and `valueTwo` what has to be left.
    return {
        "index": argument.index,
        "value": argument.mask,
        "valueTwo": argument.value,
        "op": "SCMP_CMP_MASKED_EQ",
    }


@functools.cache
def security_opt() -> str:
    """Petri's profile as an entry of HostConfig.SecurityOpt: in line, so that it needs no file where the engine is."""
    return "seccomp=" + json.dumps(profile(GROUPS), separators=(",", ":"))
