"""The table of probes: what each wall of a sandbox looks like from inside when it stands.

A new runtime: give the rows that say nothing under it an entry in `not_under`, with the reason.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from petri.selfcheck import observed as seen
from petri.selfcheck.circumstances import Circumstances
from petri.selfcheck.file_probes import FILE_PROBES
from petri.selfcheck.probe import Probe, probe
from pool import seccomp
from pool.container_config import HOSTNAME, limits
from pool.runtimes import GVISOR
from pool.seccomp.rule import Action

_MIB = 1 << 20


@probe("identity", seen.Identity, expected="user and group of the sandbox's own slot, and no other group")
def identity(found: seen.Identity, circumstances: Circumstances) -> Iterator[str]:
    own = str(circumstances.uid)
    if set(found.uids) != {own}:
        yield f"user ids {', '.join(found.uids)} instead of {own}"
    if set(found.gids) != {own}:
        yield f"group ids {', '.join(found.gids)} instead of {own}"
    if others := set(found.groups) - {circumstances.uid}:
        yield f"more groups: {', '.join(map(str, sorted(others)))}"


@probe("capabilities", seen.Said, expected="none in any set")
def capabilities(found: seen.Said, circumstances: Circumstances) -> Iterator[str]:
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        value = found.root.get(name)
        if value is None and name == "CapAmb" and circumstances.own_kernel:
            continue  # gVisor of 2022 does not show them
        value = value or "not told"
        if set(value) != {"0"}:
            yield f"{name} is {value}"


@probe(
    "confinement",
    seen.Confinement,
    expected="no new privileges, a seccomp filter, AppArmor where the host has it",
    not_under={GVISOR: "gVisor confines its own kernel by a filter, which a guest cannot see; it shows none of these"},
)
def confinement(found: seen.Confinement, circumstances: Circumstances) -> Iterator[str]:
    if found.no_new_privileges != "1":
        yield f"NoNewPrivs is {found.no_new_privileges}: a setuid program would gain privileges"
    if found.seccomp_mode != "2":
        yield f"Seccomp is {found.seccomp_mode}, not 2: no filter of system calls"
    if circumstances.host.apparmor and found.security_label in ("", "unconfined"):
        yield "unconfined by the host's AppArmor"


@probe(
    "namespaces",
    seen.Said,
    expected="cgroup, ipc, mnt, net, pid and uts of its own",
    not_under={GVISOR: "the numbers are gVisor's own, and could be equal to the host's by chance alone"},
)
def namespaces(found: seen.Said, circumstances: Circumstances) -> Iterator[str]:
    for kind, number in circumstances.host.namespaces.items():
        if kind not in found.root:
            yield f"{kind}: not told"
        elif found.root[kind] == number:
            yield f"{kind} is the host's"


@probe(
    "system-calls",
    seen.Said,
    expected="each refused with the error of the filter's table",
    not_under={GVISOR: "gVisor's kernel answers every call by itself; it applies no filter of an engine's"},
)
def system_calls(found: seen.Said, circumstances: Circumstances) -> Iterator[str]:
    wanted = {call: group.action for group in seccomp.GROUPS for call in group.calls}
    if missing := {"unshare", "ptrace", "mount", "bpf", "keyctl", "io_uring_setup", "memfd_create"} - found.root.keys():
        yield f"not tried: {', '.join(sorted(missing))}"
    for call, outcome in sorted(found.root.items()):
        action = wanted.get(call)
        # Of a group that is allowed in part, what is tried is a part that is not.
        expected = Action.EPERM.value if action is Action.ALLOW else action.value if action else "a row in the table"
        if outcome != expected:
            yield f"{call} gave {outcome} instead of {expected}"


#: What a kernel says at once that has no route there.
_NO_WAY_OUT = ("ENETUNREACH", "EAFNOSUPPORT", "EADDRNOTAVAIL")


@probe("network", seen.Network, expected="lo alone, no route, and no way out: refused at once")
def network(found: seen.Network, circumstances: Circumstances) -> Iterator[str]:
    if found.interfaces != ["lo"]:
        yield f"interfaces {', '.join(found.interfaces) or 'none'}"
    if found.routes:
        yield f"routes by {', '.join(sorted(set(found.routes)))}"
    for kind in ("tcp4", "udp4", "tcp6", "udp6"):
        said = found.connect.get(kind, "nothing")
        if said not in _NO_WAY_OUT and not (said == "EHOSTUNREACH" and circumstances.own_kernel):
            yield f"{kind} to the outside gave {said}"


@probe("environment", seen.Words, expected="the image's variables and Petri's, and none besides")
def environment(found: seen.Words, circumstances: Circumstances) -> Iterator[str]:
    known = circumstances.image_variables | {"HOME", "TMPDIR", "PATH", "HOSTNAME"}
    if strange := set(found.root) - known:
        yield f"of unknown origin: {', '.join(sorted(strange))}"


@probe("names", seen.Names, expected=f"host name {HOSTNAME}, no domain, no resolver but itself")
def names(found: seen.Names, circumstances: Circumstances) -> Iterator[str]:
    if found.host != HOSTNAME:
        yield f"host name {found.host}"
    if found.domain not in ("", "(none)", HOSTNAME if circumstances.own_kernel else ""):
        yield f"domain {found.domain}"
    if outside := [address for address in found.resolvers if not _is_loopback(address)]:
        yield f"resolvers {', '.join(outside)}"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


#: The kernel decides by them who may look: all of them are another's when PID 1 is not dumpable.
_SECRETS = ("mem", "environ", "maps", "fd", "cwd", "root", "exe")
#: gVisor shows these to every process. The agent's descriptors can even be opened: docs/runtimes.md says what a guest
#: gains.
_SHOWN_BY_GVISOR = {"environ", "maps", "fd"}


@probe("first-process", seen.FirstProcess, expected="the agent, not dumpable: its memory and files are not to be read")
def first_process(found: seen.FirstProcess, circumstances: Circumstances) -> Iterator[str]:
    if found.name != "agent":
        yield f"PID 1 is {found.name}"
    if found.files_owner == circumstances.uid:
        yield "dumpable: its files in /proc are the guest's"
    for name in _SECRETS:
        if circumstances.own_kernel and name in _SHOWN_BY_GVISOR:
            continue
        if (said := found.open.get(name, "nothing")) not in ("EACCES", "EPERM"):
            yield f"opening /proc/1/{name} gave {said}"


#: The agent, a worker, its zygote, this program, and room for what a language's runtime starts.
_FEW = 12


@probe("processes", seen.Processes, expected="few, and all of the sandbox's user")
def processes(found: seen.Processes, circumstances: Circumstances) -> Iterator[str]:
    if len(found.root) > _FEW:
        yield f"{len(found.root)} processes"
    strangers = {f"{one.name[:40]} (user {one.uid})" for one in found.root if one.uid != str(circumstances.uid)}
    if strangers:
        yield f"of others: {', '.join(sorted(strangers)[:5])}"


@probe("limits", seen.Limits, expected="open files, core dumps, locked memory, queues and signals as configured")
def resource_limits(found: seen.Limits, circumstances: Circumstances) -> Iterator[str]:
    for name, most in limits(circumstances.template).items():
        soft, hard = found.root.get(name, (-1, -1))
        if (soft, hard) != (most, most):
            yield f"{name} is {soft}, at most {hard}, instead of {most}"


@probe(
    "ceilings",
    seen.Ceilings,
    expected="the cgroup's memory without swap, processes and cpu as configured",
    not_under={GVISOR: "gVisor shows a guest no cgroup; the engine's is around gVisor itself"},
)
def ceilings(found: seen.Ceilings, circumstances: Circumstances) -> Iterator[str]:
    template = circumstances.template
    memory = template.memory_mib * _MIB
    yield from _differs("memory", found.memory, memory)
    yield from _differs("processes", found.pids, template.pids)
    if found.swap is not None or found.host_swap_kib:  # a kernel that does not count swap, and has none
        yield from _differs("swap", found.swap, memory if found.version == 1 else 0)
    quota, _, period = (found.cpu or "").partition(" ")
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        share = -1.0
    if abs(share - template.cpus) > 0.01 * template.cpus:
        yield f"cpu is {found.cpu or 'not to be seen'}, which is not a share of {template.cpus:g}"


def _differs(what: str, found: str | None, wanted: int) -> Iterator[str]:
    if found != str(wanted):
        yield f"{what} is {found or 'not to be seen'} instead of {wanted}"


PROBES: tuple[Probe[Any], ...] = (
    identity,
    capabilities,
    confinement,
    namespaces,
    system_calls,
    network,
    *FILE_PROBES,
    environment,
    names,
    first_process,
    processes,
    resource_limits,
    ceilings,
)
