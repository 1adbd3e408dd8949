"""The filter of system calls: the table is whole, and the profile made of it answers as it should."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pool.seccomp import GROUPS, profile, security_opt
from pool.seccomp.document import profile_text, with_table
from pool.seccomp.linux import AARCH64, X86_64
from pool.seccomp.rule import Action, Argument, Group, other_than

DOCS = Path(__file__).parents[3] / "docs"
PROFILE = profile(GROUPS)
ERRNO = {1: "EPERM", 22: "EINVAL", 38: "ENOSYS"}

UNIX, INET, INET6, NETLINK, PACKET, ALG, VSOCK = 1, 2, 10, 16, 17, 38, 40
STREAM, DGRAM, RAW, SEQPACKET, CLOEXEC = 1, 2, 3, 5, 0o2000000
SIGCHLD, CLONE_NEWUSER, CLONE_NEWNS, CLONE_THREADS = 17, 0x10000000, 0x20000, 0x3D0F00
CPU, CORE, NOFILE, RTTIME = 0, 4, 7, 15
ADDRESS = 0x7F00_0000_1000
RUBBISH = 0xABCD_0000_0000  # in the half of a register that the kernel does not read of an int


def answer(call: str, *arguments: int) -> str:
    """What the profile has for a call, as the kernel would find it: a rule that fits, else the default."""
    for rule in PROFILE["syscalls"]:
        if call in rule["names"] and all(_fits(condition, arguments) for condition in rule.get("args", [])):
            return "allow" if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO[rule["errnoRet"]]
    return "EPERM"


def _fits(condition: dict, arguments: tuple[int, ...]) -> bool:
    seen = arguments[condition["index"]] % (1 << 64)
    if condition["op"] == "SCMP_CMP_EQ":
        return seen == condition["value"]
    assert condition["op"] == "SCMP_CMP_MASKED_EQ"
    return seen & condition["value"] == condition["valueTwo"]


def test_every_call_of_linux_is_in_exactly_one_group():
    times = Counter(call for group in GROUPS for call in group.calls)
    assert times.keys() == X86_64.keys() | AARCH64.keys()
    assert {call for call, number in times.items() if number > 1} == set()


def test_the_numbers_at_the_ends_of_each_run_are_linuxs():
    for call, number in {"read": 0, "execve": 59, "rseq": 334, "clone3": 435, "listns": 470}.items():
        assert X86_64[call] == number
    for call, number in {"io_setup": 0, "execve": 221, "prlimit64": 261, "rseq": 293, "clone3": 435}.items():
        assert AARCH64[call] == number
    assert len(set(X86_64.values())) == len(X86_64)
    assert len(set(AARCH64.values())) == len(AARCH64)


def test_every_group_says_why_and_has_a_name_of_its_own():
    assert all(group.reason.endswith(".") and group.calls for group in GROUPS)
    assert len({group.name for group in GROUPS}) == len(GROUPS)


def test_only_64_bit_machines_are_compiled():
    assert PROFILE["archMap"] == [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
    ]
    assert "architectures" not in PROFILE


def test_what_is_not_allowed_is_refused():
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {rule["action"] for rule in PROFILE["syscalls"]} == {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}


@pytest.mark.parametrize("group", [group for group in GROUPS if not group.cases], ids=lambda group: group.name)
def test_each_call_gets_what_its_group_says(group):
    assert {answer(call) for call in group.calls} == {group.action.value}


@pytest.mark.parametrize(
    ("expected", "call", "arguments"),
    [
        ("allow", "socket", (UNIX, SEQPACKET, 0)),
        ("allow", "socket", (INET, STREAM | CLOEXEC, 0)),
        ("allow", "socket", (INET6, STREAM, 6)),
        ("allow", "socket", (INET, DGRAM | CLOEXEC, 17)),
        ("allow", "socket", (NETLINK, RAW | CLOEXEC, 0)),
        ("EPERM", "socket", (NETLINK, RAW, 12)),
        ("EPERM", "socket", (INET, RAW, 1)),
        ("EPERM", "socket", (INET, STREAM, 262)),
        ("EPERM", "socket", (INET, SEQPACKET, 132)),
        ("EPERM", "socket", (INET, STREAM, 132)),
        ("EPERM", "socket", (INET, STREAM, 17)),
        ("EPERM", "socket", (PACKET, DGRAM, 0)),
        ("EPERM", "socket", (ALG, SEQPACKET, 0)),
        ("EPERM", "socket", (VSOCK, STREAM, 0)),
        ("EPERM", "socket", (RUBBISH | VSOCK, STREAM, 0)),
        ("allow", "socketpair", (UNIX, STREAM, 0, ADDRESS)),
        ("EPERM", "socketpair", (30, STREAM, 0, ADDRESS)),
        ("allow", "clone", (SIGCHLD,)),
        ("allow", "clone", (CLONE_THREADS,)),
        ("EPERM", "clone", (SIGCHLD | CLONE_NEWUSER,)),
        ("EPERM", "clone", (SIGCHLD | CLONE_NEWNS,)),
        ("EPERM", "clone", (RUBBISH | SIGCHLD | CLONE_NEWUSER,)),
        ("allow", "prlimit64", (0, CORE, 0, ADDRESS)),
        ("allow", "prlimit64", (77, NOFILE, 0, ADDRESS)),
        ("allow", "prlimit64", (0, NOFILE, ADDRESS, 0)),
        ("allow", "prlimit64", (0, CPU, ADDRESS, 0)),
        ("allow", "prlimit64", (0, RTTIME, ADDRESS, 0)),
        ("EPERM", "prlimit64", (0, CORE, ADDRESS, 0)),
        ("EPERM", "prlimit64", (0, RUBBISH | CORE, ADDRESS, 0)),
        ("EPERM", "prlimit64", (1, NOFILE, ADDRESS, 0)),
        ("EPERM", "prlimit64", (1, CORE, ADDRESS, 0)),
        ("EPERM", "prlimit64", (0, CORE, 1 << 32, 0)),
        ("allow", "setrlimit", (NOFILE, ADDRESS)),
        ("EPERM", "setrlimit", (CORE, ADDRESS)),
        ("EPERM", "setrlimit", (RUBBISH | CORE, ADDRESS)),
        ("allow", "sched_setaffinity", (0, 8, ADDRESS)),
        ("EPERM", "sched_setaffinity", (1, 8, ADDRESS)),
        ("allow", "sched_setscheduler", (0, 3, ADDRESS)),
        ("EPERM", "sched_setscheduler", (1, 3, ADDRESS)),
        ("EPERM", "sched_setattr", (1, ADDRESS, 0)),
        ("EPERM", "sched_setparam", (1, ADDRESS)),
        ("allow", "setpriority", (0, 0, 10)),
        ("EPERM", "setpriority", (0, 1, 10)),
        ("EPERM", "setpriority", (1, 0, 10)),
        ("EPERM", "setpriority", (2, 0, 10)),
        ("allow", "ioprio_set", (1, 0, 0)),
        ("EPERM", "ioprio_set", (1, 1, 0)),
        ("EPERM", "ioprio_set", (3, 0, 0)),
        ("allow", "mknod", (ADDRESS, 0o010644, 0)),
        ("allow", "mknod", (ADDRESS, 0o644, 0)),
        ("EPERM", "mknod", (ADDRESS, 0o020644, 0)),
        ("EPERM", "mknod", (ADDRESS, 0o060644, 0)),
        ("allow", "mknodat", (-100, ADDRESS, 0o010644, 0)),
        ("EPERM", "mknodat", (-100, ADDRESS, 0o020000, 0)),
        ("allow", "personality", (0xFFFFFFFF,)),
        ("allow", "personality", (-1,)),
        ("allow", "personality", (0,)),
        ("EPERM", "personality", (0x0040000,)),
    ],
)
def test_arguments_decide(expected, call, arguments):
    assert answer(call, *arguments) == expected


@pytest.mark.parametrize("below", [1, 2, 16])
def test_other_than_is_everything_but_one_number(below):
    for value in range(below):
        arguments = other_than(0, value, below)
        matched = {
            number
            for number in range(4 * below)
            if any((RUBBISH | number) & argument.mask == argument.value for argument in arguments)
        }
        assert matched == set(range(below)) - {value}


def test_no_engine_can_read_two_conditions_of_one_argument_as_either():
    with pytest.raises(ValueError, match="named once"):
        Group("x", Action.ALLOW, "y.", ("clone",), ((Argument(0, 1, 1), Argument(0, 2, 2)),))


def test_a_condition_that_can_never_be_is_refused():
    with pytest.raises(ValueError, match="never"):
        Argument(0, 3, 2)


def test_the_engine_is_given_the_profile_in_line():
    key, _, value = security_opt().partition("=")
    assert key == "seccomp"
    assert json.loads(value) == PROFILE


def test_what_is_committed_is_what_the_table_gives():
    page = (DOCS / "seccomp.md").read_text()
    assert with_table(page) == page, "python -m pool.seccomp docs"
    assert (DOCS / "seccomp.json").read_text() == profile_text(), "python -m pool.seccomp docs"
