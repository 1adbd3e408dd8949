"""How the self-check judges: what a sandbox of the Python template really said, and that with one thing made worse."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petri.selfcheck import PROBES, Report
from petri.selfcheck.circumstances import Circumstances, Host
from petri.selfcheck.inside import judged, question, reported
from petri.selfcheck.observed import Line
from pool.masked_paths import masked_paths
from pool.template import Template
from runners.execution import Outcome

UID = 275_536
#: Of one that `petri selfcheck --template python` booted; of its 76 mounts, one of each kind.
RECORDED = {
    line["probe"]: line["observed"]
    for line in map(json.loads, Path(__file__).with_name("recorded_selfcheck.jsonl").read_text().splitlines())
}
CIRCUMSTANCES = Circumstances(
    Template(name="python", language="python", image="petri/python"),
    UID,
    frozenset({"PATH", "LANG"}),
    Host({"net": "net:[1]", "pid": "pid:[2]"}, apparmor=False),
)

Worsen = Callable[[Any], Any]


def results(observed: dict[str, Any], circumstances: Circumstances = CIRCUMSTANCES):
    lines = [Line(probe=name, observed=value) for name, value in observed.items()]
    return judged(lines, circumstances)


def faults(observed: dict[str, Any], circumstances: Circumstances = CIRCUMSTANCES) -> list[str]:
    return Report("python", "", "runc", results(observed, circumstances)).faults()


def test_a_sandbox_as_it_ought_to_be_is_well():
    assert faults(RECORDED) == []
    assert Report("python", "", "runc", results(RECORDED)).ok


def put(*path: Any, value: Any) -> Worsen:
    def worsen(observed: Any) -> Any:
        at = observed
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return observed

    return worsen


def more(value: Any, *path: Any) -> Worsen:
    def worsen(observed: Any) -> Any:
        at = observed
        for step in path:
            at = at[step]
        at.append(value)
        return observed

    return worsen


def mount(path: str, kind: str, *, read_only: bool = False, null: bool = False) -> Worsen:
    return more({"path": path, "kind": kind, "read_only": read_only, "null": null})


def without(key: Any) -> Worsen:
    def worsen(observed: Any) -> Any:
        if isinstance(observed, list):
            observed.remove(key)
        else:
            del observed[key]
        return observed

    return worsen


#: Probe, what becomes worse, and the word that the fault has for it.
WORSE: list[tuple[str, Worsen, str]] = [
    ("identity", put("uids", 1, value="0"), "user ids"),
    ("identity", put("gids", 3, value="0"), "group ids"),
    ("identity", more(999, "groups"), "more groups: 999"),
    *(
        ("capabilities", put(name, value="0000000000002000"), f"{name} is 0000000000002000")
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ),
    ("capabilities", without("CapAmb"), "CapAmb is not told"),
    ("confinement", put("no_new_privileges", value="0"), "NoNewPrivs is 0"),
    ("confinement", put("seccomp_mode", value="0"), "Seccomp is 0"),
    ("confinement", put("seccomp_mode", value="1"), "Seccomp is 1"),
    ("namespaces", put("net", value="net:[1]"), "net is the host's"),
    ("namespaces", without("pid"), "pid: not told"),
    ("system-calls", put("unshare", value="EINVAL"), "unshare gave EINVAL instead of EPERM"),
    ("system-calls", put("setuid", value="ok"), "setuid gave ok"),
    ("system-calls", put("socket", value="EAFNOSUPPORT"), "socket gave EAFNOSUPPORT"),
    ("system-calls", put("io_uring_setup", value="EPERM"), "io_uring_setup gave EPERM instead of ENOSYS"),
    ("system-calls", put("splice", value="ok"), "splice gave ok instead of EINVAL"),
    ("system-calls", without("keyctl"), "not tried: keyctl"),
    ("system-calls", put("frobnicate", value="EPERM"), "a row in the table"),
    ("network", more("eth0", "interfaces"), "interfaces lo, eth0"),
    ("network", more("eth0", "routes"), "routes by eth0"),
    ("network", put("connect", "tcp4", value="EINPROGRESS"), "tcp4 to the outside gave EINPROGRESS"),
    ("network", put("connect", "udp6", value="ok"), "udp6 to the outside gave ok"),
    ("network", put("connect", value={}), "tcp4 to the outside gave nothing"),
    ("mounts", put(0, "read_only", value=False), "/ (overlay, writable)"),
    ("mounts", mount("/srv", "ext4", read_only=True), "/srv (ext4, read-only)"),
    ("mounts", mount("/run/docker.sock", "tmpfs"), "/run/docker.sock"),
    ("mounts", mount("/etc/hosts", "ext4"), "/etc/hosts (ext4, writable)"),
    ("mounts", mount("/workspace", "ext4"), "/workspace (ext4"),
    ("mounts", mount("/proc/acpi", "tmpfs"), "/proc/acpi (tmpfs, writable)"),
    ("mounts", mount("/proc/sys", "proc"), "/proc/sys (proc, writable)"),
    ("mounts", mount("/sys/fs/cgroup/memory", "cgroup"), "/sys/fs/cgroup/memory (cgroup, writable)"),
    ("mounts", mount("/sys/kernel/debug", "debugfs", read_only=True), "/sys/kernel/debug"),
    ("mounts", mount("/proc/../srv", "ext4", read_only=True), "/proc/../srv"),
    ("read-only", put("/", value="writable"), "/ is writable"),
    ("read-only", put("/proc/sys", value="writable"), "/proc/sys is writable"),
    ("read-only", without("/sys"), "/sys is not told"),
    ("writable", more("/var/tmp"), "/var/tmp, too"),
    ("writable", without("/tmp"), "not /tmp"),
    ("file-systems", put("/tmp", "bytes", value=1 << 40), "/tmp has 1099511627776 bytes instead of 67108864"),
    ("file-systems", put("/dev/shm", "files", value=1 << 20), "/dev/shm has 1048576 files instead of 4096"),
    ("file-systems", put("/workspace", "nosuid", value=False), "/workspace lets setuid programs or devices be"),
    ("file-systems", put("/workspace", "nodev", value=False), "/workspace lets setuid programs or devices be"),
    ("file-systems", put("/dev/shm", "noexec", value=False), "/dev/shm lets programs be run"),
    ("file-systems", put("/tmp", "owner", value=0), "/tmp is user 0's"),
    ("file-systems", without("/tmp"), "/tmp: not told"),
    ("hidden", more("/proc/kcore"), "/proc/kcore"),
    ("devices", more("/dev/kvm"), "/dev/kvm"),
    ("sockets", more("/run/docker.sock"), "/run/docker.sock"),
    ("environment", more("AWS_SECRET_ACCESS_KEY"), "of unknown origin: AWS_SECRET_ACCESS_KEY"),
    ("names", put("host", value="build-7"), "host name build-7"),
    ("names", put("domain", value="corp.example"), "domain corp.example"),
    ("names", more("10.0.0.2", "resolvers"), "resolvers 10.0.0.2"),
    ("names", more("nonsense", "resolvers"), "resolvers nonsense"),
    ("first-process", put("name", value="systemd"), "PID 1 is systemd"),
    ("first-process", put("files_owner", value=UID), "dumpable"),
    *(
        ("first-process", put("open", name, value="ok"), f"opening /proc/1/{name} gave ok")
        for name in ("mem", "environ", "maps", "fd", "cwd", "root", "exe")
    ),
    ("processes", more({"pid": 44, "name": "sshd", "uid": "0"}), "of others: sshd (user 0)"),
    ("processes", lambda few: few * 5, "15 processes"),
    *(
        ("limits", put(name, value=[soft, hard]), f"{name} is {soft}, at most {hard}")
        for name in ("nofile", "core", "memlock", "msgqueue", "sigpending")
        for soft, hard in ((2**64 - 1, 2**64 - 1), (7, 2**64 - 1))
    ),
    ("limits", without("core"), "core is -1"),
    ("ceilings", put("memory", value="9223372036854771712"), "memory is 9223372036854771712 instead of 268435456"),
    ("ceilings", put("memory", value=None), "memory is not to be seen"),
    ("ceilings", put("swap", value="9223372036854771712"), "swap is"),
    ("ceilings", put("pids", value="max"), "processes is max instead of 64"),
    ("ceilings", put("cpu", value="max 100000"), "cpu is max 100000"),
    ("ceilings", put("cpu", value="-1 100000"), "cpu is -1 100000"),
    ("ceilings", put("cpu", value=None), "cpu is not to be seen"),
]


@pytest.mark.parametrize(("name", "worsen", "said"), WORSE, ids=lambda value: value if isinstance(value, str) else "")
def test_one_thing_that_is_worse_is_one_fault(name, worsen, said):
    observed = copy.deepcopy(RECORDED)
    observed[name] = worsen(observed[name])
    found = faults(observed)
    assert found
    assert all(fault.startswith(f"{name}: ") for fault in found), found
    assert said in found[0]


def test_every_probe_can_fail():
    assert {name for name, _, _ in WORSE} == {one.name for one in PROBES}


@pytest.mark.parametrize("name", [one.name for one in PROBES])
@pytest.mark.parametrize("observed", [None, 7, "words", [1], {"a": {}}, [[["x"]]]], ids=str)
def test_what_makes_no_sense_is_a_fault(name, observed):
    found = faults(RECORDED | {name: observed})
    assert found
    assert all(fault.startswith(f"{name}: ") for fault in found)


@pytest.mark.parametrize("name", [one.name for one in PROBES])
def test_what_was_not_observed_is_a_fault(name):
    silent = {probe: value for probe, value in RECORDED.items() if probe != name}
    assert faults(silent) == [f"{name}: not observed"]
    lines = [Line(probe=probe, observed=value) for probe, value in silent.items()]
    lines.append(Line(probe=name, error="statfs: permission denied"))
    failed = [result for result in judged(lines, CIRCUMSTANCES) if not result.ok]
    assert [(result.probe, result.faults) for result in failed] == [
        (name, ("not observed: statfs: permission denied",))
    ]


def test_a_version_2_cgroup_counts_swap_alone():
    two = {"version": 2, "memory": "268435456", "swap": "0", "pids": "64", "cpu": "100000 100000", "host_swap_kib": 1}
    assert faults(RECORDED | {"ceilings": two}) == []
    assert faults(RECORDED | {"ceilings": two | {"swap": "max"}}) == ["ceilings: swap is max instead of 0"]


def test_swap_that_is_not_counted_is_well_only_where_there_is_none():
    uncounted = RECORDED["ceilings"] | {"swap": None}
    assert faults(RECORDED | {"ceilings": uncounted}) == []
    assert faults(RECORDED | {"ceilings": uncounted | {"host_swap_kib": 4}}) == [
        "ceilings: swap is not to be seen instead of 268435456"
    ]


def test_a_host_with_apparmor_confines_its_sandboxes():
    host = replace(CIRCUMSTANCES.host, apparmor=True)
    circumstances = replace(CIRCUMSTANCES, host=host)
    assert faults(RECORDED, circumstances) == ["confinement: unconfined by the host's AppArmor"]
    confined = RECORDED | {"confinement": RECORDED["confinement"] | {"security_label": "docker-default (enforce)"}}
    assert faults(confined, circumstances) == []


def test_sizes_are_judged_by_the_template():
    other = Template(name="python", language="python", image="petri/python", tmp_mib=32, memory_mib=512, pids=9, cpus=2)
    found = faults(RECORDED, replace(CIRCUMSTANCES, template=other))
    assert {fault.partition(":")[0] for fault in found} == {"file-systems", "ceilings"}
    assert len(found) == 5  # bytes of /tmp; memory, with swap; processes; cpu


def test_a_probe_that_says_nothing_under_a_runtime_is_skipped_with_its_reason():
    probe = replace(PROBES[0], not_under={"runc": "it has its own kernel"})
    for result in (probe.result("nonsense", CIRCUMSTANCES), probe.failed("not observed", CIRCUMSTANCES)):
        assert (result.ok, result.skipped) == (True, "it has its own kernel")
        assert result.as_json()["skipped"] == "it has its own kernel"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(None, 9, timed_out=True), "not at its end within"),
        (Outcome(None, 31), "ended with signal 31"),
        (Outcome(1, None, stderr=b"agent: selfcheck: EOF\n"), "agent: selfcheck: EOF"),
        (Outcome(127, None), "ended with status 127: it said nothing"),
        (Outcome(0, None, stdout=b"\x01\0\0\0\0\0\0\0\x20{"), "petri images build"),  # an agent's HELLO
        (Outcome(0, None, stdout=b'{"observed": 1}\n'), "petri images build"),
    ],
)
def test_a_program_that_did_not_do_its_work_is_a_fault(outcome, said):
    (result,) = reported(outcome, CIRCUMSTANCES)
    assert (result.probe, result.ok) == ("program", False)
    assert said in result.faults[0]


def test_a_program_that_said_nothing_fails_every_probe():
    assert not any(result.ok for result in reported(Outcome(0, None), CIRCUMSTANCES))


def test_a_report_without_results_is_not_well():
    assert not Report("python", "", "runc", ()).ok


def test_the_program_is_told_where_to_look_and_not_what_to_find():
    asked = json.loads(question(CIRCUMSTANCES))
    assert set(asked["hidden"]) == set(masked_paths())
    assert asked["sized"] == ["/workspace", "/tmp", "/dev/shm"]
    assert not any(isinstance(value, int) for value in asked.values())
