"""What must be true of the machine and its kernel's settings before hostile code runs on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from petri.doctor.finding import BAD, OK, WARN, Severity, Unreadable, Verdict, check
from petri.doctor.host_facts import Host


def _set(assignment: str) -> str:
    return f"sysctl -w {assignment}, and the same in /etc/sysctl.d (docs/hardening.md has the file)"


@check(
    "swap",
    worst=BAD,
    why="Code, input and secrets of a run that is over lie on, readable, on a disk that was swapped to.",
    remedy="swapoff -a, and take swap out of /etc/fstab and systemd's swap units; or swap to zram or dm-crypt",
)
def swap(host: Host) -> Verdict:
    if (table := host.read("/proc/swaps")) is None:
        return Verdict(OK, "not in this kernel")
    if not table.startswith("Filename"):  # something empty is mounted over it
        raise Unreadable("/proc/swaps is not the kernel's table")
    areas = [line.split()[0] for line in table.splitlines()[1:]]
    clear = [area for area in areas if not _is_zram(area) and not _is_encrypted(area, host)]
    if clear:
        return Verdict(BAD, f"on, at {', '.join(clear)}")
    return Verdict(OK, f"only in memory or encrypted: {', '.join(areas)}" if areas else "off")


def _is_zram(area: str) -> bool:
    return PurePath(area).name.startswith("zram")


def _is_encrypted(area: str, host: Host) -> bool:
    """The kernel names a mapped device dm-N, and the mapping's id begins with what made it."""
    return host.below(f"/sys/block/{PurePath(area).name}").get("dm/uuid", "").startswith("CRYPT-")


@check(
    "core-pattern",
    worst=BAD,
    why="A crash in a sandbox starts this handler as root outside of it, on a file that hostile code wrote.",
    remedy=_set("kernel.core_pattern=core") + "; take off apport or systemd-coredump, which set it at boot",
)
def core_pattern(host: Host) -> Verdict:
    pattern = host.sysctl("kernel.core_pattern")
    if pattern is None:
        return Verdict(OK, "this kernel dumps nothing")
    if pattern.startswith("|"):
        return Verdict(BAD, f"dumps go to a program: {pattern}")
    if pattern.startswith("@"):
        return Verdict(BAD, f"dumps go to a socket: {pattern}")
    return Verdict(OK, f"dumps are files: {pattern}" if pattern else "dumps have no name, and start nothing")


@check(
    "io-uring",
    worst=BAD,
    why="io_uring is a second door to the kernel beside its calls, and has had more holes than any other part of late.",
    remedy=_set("kernel.io_uring_disabled=2") + "; a kernel before 6.6 has no such setting: use a newer one",
)
def io_uring(host: Host) -> Verdict:
    disabled, group = host.number("kernel.io_uring_disabled"), host.number("kernel.io_uring_group")
    if disabled is None:
        if not host.has_io_uring:
            return Verdict(OK, "not in this kernel")
        return Verdict(BAD, f"open to every process, and Linux {host.release} cannot close it")
    if disabled == 0:
        return Verdict(BAD, "kernel.io_uring_disabled = 0: open to every process")
    if disabled == 1 and group not in (None, -1):
        return Verdict(WARN, f"kernel.io_uring_disabled = 1: open to the group {group}")
    return Verdict(OK, f"kernel.io_uring_disabled = {disabled}")


@check(
    "unprivileged-bpf",
    worst=BAD,
    why="The verifier of BPF programs has been the way from any user to the kernel again and again.",
    remedy=_set("kernel.unprivileged_bpf_disabled=1"),
)
def unprivileged_bpf(host: Host) -> Verdict:
    disabled = host.number("kernel.unprivileged_bpf_disabled")
    if disabled == 0:
        return Verdict(BAD, "kernel.unprivileged_bpf_disabled = 0: open to every process")
    if disabled is None:
        return Verdict(OK, "not in this kernel")
    return Verdict(OK, f"kernel.unprivileged_bpf_disabled = {disabled}")


@check(
    "user-namespaces",
    worst=WARN,
    why="In a user namespace of its own any process has capabilities, and reaches much more of the kernel.",
    remedy=_set("user.max_user_namespaces=0")
    + ", unless rootless or remapped containers, gVisor or a browser need them",
)
def user_namespaces(host: Host) -> Verdict:
    if host.number("user.max_user_namespaces") in (0, None):
        return Verdict(OK, "nobody may make one")
    for name, closed in (
        ("kernel.unprivileged_userns_clone", 0),
        ("kernel.apparmor_restrict_unprivileged_userns", 1),
    ):
        if host.number(name) == closed:
            return Verdict(OK, f"{name} = {closed}: not for unprivileged processes")
    seen = f"user.max_user_namespaces = {host.number('user.max_user_namespaces')}: any user may make them"
    return Verdict(WARN, f"{seen}; inside sandboxes seccomp refuses them")


@check(
    "ksm",
    worst=BAD,
    why="Merged pages let one tenant time whether another has the same page: a way to read across sandboxes.",
    remedy="echo 2 > /sys/kernel/mm/ksm/run, and take off ksmtuned and whatever else starts it at boot",
)
def ksm(host: Host) -> Verdict:
    run = host.read("/sys/kernel/mm/ksm/run")
    if run == "1":
        return Verdict(BAD, "on: equal pages of different processes are merged")
    return Verdict(OK, "not in this kernel" if run is None else f"off ({run})")


@check(
    "cpu",
    worst=WARN,
    why="Sandboxes share cores; a processor that leaks between processes leaks between tenants.",
    remedy="install the newest kernel and microcode, do not boot with mitigations=off, and consider nosmt",
)
def cpu(host: Host) -> Verdict:
    states = host.below("/sys/devices/system/cpu/vulnerabilities")
    open_ones = [name for name, text in states.items() if text.startswith(("Vulnerable", "Unknown"))]
    smt = host.read("/sys/devices/system/cpu/smt/active") == "1"
    seen = [f"vulnerable: {', '.join(open_ones)}"] if open_ones else []
    if smt:
        shared = [name for name, text in states.items() if "SMT vulnerable" in text]
        seen.append(
            "SMT is on" + (f", and leaks by {', '.join(shared)}" if shared else ": sandboxes share cores' caches")
        )
    if not states:
        seen.append("the kernel does not say what this processor is vulnerable to")
    return Verdict(WARN, "; ".join(seen)) if seen else Verdict(OK, "every known leak is mitigated, SMT is off")


def _setting(key: str, is_good: Callable[[int], bool], *, absent: Severity) -> Callable[[Host], Verdict]:
    """Judge one number; what is not good is a warning."""

    def look(host: Host) -> Verdict:
        if (value := host.number(key)) is None:
            return Verdict(absent, f"{key} is not in this kernel")
        return Verdict(OK if is_good(value) else WARN, f"{key} = {value}")

    return look


dmesg = check(
    "dmesg",
    worst=WARN,
    why="The kernel's log holds addresses and names that make an attack on it easier.",
    remedy=_set("kernel.dmesg_restrict=1"),
)(_setting("kernel.dmesg_restrict", lambda value: value >= 1, absent=WARN))
kptr = check(
    "kptr",
    worst=WARN,
    why="Kernel addresses in /proc undo the randomisation that an exploit has to guess.",
    remedy=_set("kernel.kptr_restrict=2"),
)(_setting("kernel.kptr_restrict", lambda value: value >= 1, absent=WARN))
perf_events = check(
    "perf-events",
    worst=WARN,
    why="perf_event_open measures other processes, and its kernel side has had many holes.",
    remedy=_set("kernel.perf_event_paranoid=3") + "; Debian and Ubuntu then close it, other kernels take 3 for 2",
)(_setting("kernel.perf_event_paranoid", lambda value: value >= 2, absent=OK))
ptrace = check(
    "ptrace",
    worst=WARN,
    why="Without Yama one process of a user may read and change all others of that user: the gateway's, too.",
    remedy=_set("kernel.yama.ptrace_scope=1") + "; where Yama is missing, boot with it in lsm=",
)(_setting("kernel.yama.ptrace_scope", lambda value: value >= 1, absent=WARN))
suid_dumpable = check(
    "suid-dumpable",
    worst=WARN,
    why="A setuid program that crashes leaves its memory, with what it had read as root, to the user who started it.",
    remedy=_set("fs.suid_dumpable=0"),
)(_setting("fs.suid_dumpable", lambda value: value != 1, absent=OK))
overcommit = check(
    "overcommit",
    worst=WARN,
    why="Go and V8 reserve far more address space than they use; strict accounting makes runs fail before their limit.",
    remedy=_set("vm.overcommit_memory=0") + "; each sandbox's memory is bounded by its cgroup anyway",
)(_setting("vm.overcommit_memory", lambda value: value != 2, absent=OK))

#: What is guarded, and the value that guards it best.
_PROTECTED = {"symlinks": 1, "hardlinks": 1, "fifos": 2, "regular": 2}


@check(
    "protected-links",
    worst=WARN,
    why="Privileged programs of the host can be led to a planted link or file in /tmp.",
    remedy=_set(" ".join(f"fs.protected_{name}={best}" for name, best in _PROTECTED.items())),
)
def protected_links(host: Host) -> Verdict:
    off = [name for name in _PROTECTED if not host.number(f"fs.protected_{name}")]  # 0, or an older kernel
    return (
        Verdict(WARN, f"not guarded: {', '.join(off)}")
        if off
        else Verdict(OK, "links, pipes and files in /tmp are guarded")
    )


HOST_CHECKS = (
    swap,
    core_pattern,
    io_uring,
    unprivileged_bpf,
    user_namespaces,
    ksm,
    cpu,
    dmesg,
    kptr,
    perf_events,
    ptrace,
    protected_links,
    suid_dumpable,
    overcommit,
)
