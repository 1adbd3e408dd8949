"""The checks of an engine, on what engines of several distributions answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recorded_engines import (
    DEBIAN_12,
    DOCKER_CE_27,
    DOCKER_CE_28,
    DOCKER_CE_29,
    INFO,
    KERNEL,
    UBUNTU_24_04,
    version,
)

from petri.doctor import engine_checks
from petri.doctor.daemons import Daemons
from petri.doctor.facts import Engine, EngineFacts, SocketFile
from petri.doctor.finding import BAD, OK, WARN
from petri.doctor.host_facts import PATHS, Host
from petri.doctor.packages import Package
from pool.engine_api import Address

SECCOMP = "kill_process kill_thread trap errno user_notif trace log allow"
HOST = Host(KERNEL, dict.fromkeys(PATHS) | {"/proc/sys/kernel/seccomp/actions_avail": SECCOMP}, {}, has_io_uring=True)
LOCAL = Address("unix:///var/run/docker.sock")
#: What the changelogs of Debian 12's packages name, and of Ubuntu's runc.
DEBIAN_PACKAGES = (
    Package("runc", "1.1.5+ds1-1+deb12u1", frozenset({"CVE-2024-21626"})),
    Package("containerd", "1.6.20~ds1-1+deb12u3", frozenset({"CVE-2024-25621", "CVE-2024-40635", "CVE-2025-64329"})),
    Package("docker.io", "20.10.24+dfsg1-1+deb12u1+b6", frozenset({"CVE-2024-41110"})),
)


def facts(said=DOCKER_CE_29, packages=(), host=HOST, address=LOCAL, socket=None, uid_base=210_000, **info):
    return EngineFacts(Engine.of(address, said, INFO | info, socket), host, tuple(packages), uid_base)


def host(files=None, **changes):
    return replace(HOST, files={**HOST.files, **(files or {})}, **changes)


@pytest.mark.parametrize(
    ("said", "packages", "docker", "containerd", "runc"),
    [
        pytest.param(DEBIAN_12, DEBIAN_PACKAGES, BAD, OK, BAD, id="Debian 12"),
        pytest.param(DEBIAN_12, (), BAD, BAD, BAD, id="Debian 12, packages unknown"),
        pytest.param(UBUNTU_24_04, (), BAD, BAD, WARN, id="Ubuntu 24.04, packages unknown"),
        pytest.param(
            UBUNTU_24_04,
            [Package("containerd", "1.7.28-0ubuntu1~24.04.2", frozenset({"CVE-2024-25621"}))],
            BAD,
            OK,
            WARN,
            id="Ubuntu 24.04, containerd patched",
        ),
        pytest.param(DOCKER_CE_27, (), BAD, BAD, BAD, id="docker-ce 27"),
        pytest.param(DOCKER_CE_28, (), BAD, OK, WARN, id="docker-ce 28"),
        pytest.param(DOCKER_CE_29, (), OK, OK, OK, id="docker-ce 29"),
    ],
)
def test_known_holes_by_number_and_by_changelog(said, packages, docker, containerd, runc):
    found = facts(said, packages)
    checks = (engine_checks.docker, engine_checks.containerd, engine_checks.runc)
    assert [look(found).severity for look in checks] == [docker, containerd, runc]


def test_a_finding_names_what_is_open_what_the_package_fixed_and_what_to_upgrade_to():
    finding = engine_checks.runc(facts(DEBIAN_12, DEBIAN_PACKAGES))
    assert finding.seen.startswith("1.1.5+ds1 from runc 1.1.5+ds1-1+deb12u1, which fixes CVE-2024-21626: open are CVE-")
    assert "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881 (" in finding.seen
    assert "upgrade runc to a release from runc 1.3.6 / 1.4.3 / 1.5.0 on" in finding.remedy


def test_a_missing_changelog_is_said_and_helps_nobody():
    finding = engine_checks.runc(facts(DEBIAN_12, [Package("runc", "1.1.5+ds1-1+deb12u1", None)]))
    assert (finding.severity, "its changelog is not here" in finding.seen) == (BAD, True)
    assert "CVE-2024-21626" in finding.seen


def test_a_changelog_says_nothing_of_a_program_that_still_runs_from_the_old_file():
    stale = facts(DEBIAN_12, DEBIAN_PACKAGES, host(daemons=Daemons(frozenset({"containerd"}))))
    assert engine_checks.containerd(stale).severity is BAD
    assert engine_checks.restart_pending(stale).severity is WARN
    assert "containerd" in engine_checks.restart_pending(stale).seen
    assert engine_checks.restart_pending(facts()).severity is OK
    assert "reboot" in engine_checks.restart_pending(facts(host=host({"/run/reboot-required": ""}))).seen


def test_nor_does_it_of_a_program_that_cannot_be_looked_into():
    hidden = facts(DEBIAN_12, DEBIAN_PACKAGES, host(daemons=Daemons(unseen={"containerd": "no containerd is visible"})))
    finding = engine_checks.containerd(hidden)
    assert (finding.severity, "no containerd is visible: its changelog may be newer" in finding.seen) == (BAD, True)
    pending = engine_checks.restart_pending(hidden)
    assert (pending.severity, "no containerd is visible" in pending.seen) == (WARN, True)


def test_a_version_that_cannot_be_compared_is_bad():
    odd = version(("dev", ""), ("2.1.5", ""), ("1.3.3", ""))
    assert engine_checks.docker(facts(odd)).severity is BAD
    assert engine_checks.docker(facts({"ApiVersion": "1.41"})).severity is BAD
    assert engine_checks.docker(facts({"Components": [{"Name": "Engine", "Details": None}]})).severity is BAD


def test_another_runtime_is_not_judged_by_runcs_advisories():
    finding = engine_checks.runc(facts(DOCKER_CE_27, DefaultRuntime="runsc"))
    assert (finding.severity, "runsc" in finding.seen) == (WARN, True)
    assert engine_checks.runc(facts(DOCKER_CE_27, DefaultRuntime="io.containerd.runc.v2")).severity is BAD


@pytest.mark.parametrize(
    ("runtimes", "severity", "seen"),
    [
        ({""}, OK, "1.5.0"),
        ({"runc"}, OK, "1.5.0"),
        ({"runsc"}, WARN, "sandboxes run under runsc, whose advisories are not known here"),
        ({"runsc", "kata"}, WARN, "sandboxes run under kata, runsc, whose advisories are not known here"),
        ({"", "runsc"}, WARN, "1.5.0; sandboxes run under runsc, whose advisories are not known here"),
    ],
)
def test_every_runtime_that_a_template_names_is_judged(runtimes, severity, seen):
    found = engine_checks.runc(replace(facts(DOCKER_CE_29), runtimes=frozenset(runtimes)))
    assert (found.severity, found.seen) == (severity, seen)
    old = engine_checks.runc(replace(facts(DOCKER_CE_27), runtimes=frozenset(runtimes)))
    assert (old.severity is BAD) == bool(runtimes & {"", "runc"})


def test_an_engine_on_another_kernel_is_bad():
    assert engine_checks.same_machine(facts()).severity is OK
    assert engine_checks.same_machine(facts(address=Address("http://10.0.0.7:2375"))).severity is BAD
    finding = engine_checks.same_machine(facts(KernelVersion="6.10.14-linuxkit"))  # Docker Desktop
    assert (finding.severity, "linuxkit" in finding.seen) == (BAD, True)


@pytest.mark.parametrize(
    ("options", "actions", "severity"),
    [
        (["name=seccomp,profile=builtin"], SECCOMP, OK),
        (["name=seccomp,profile=default"], SECCOMP, OK),  # before 23.0
        (["name=apparmor", "name=seccomp,profile=unconfined"], SECCOMP, WARN),
        (["name=apparmor"], SECCOMP, BAD),
        (None, SECCOMP, BAD),
        (["name=seccomp,profile=builtin"], "kill trap errno trace log allow", BAD),  # before Linux 4.14
        (["name=seccomp,profile=builtin"], "", BAD),
    ],
)
def test_seccomp_must_be_there(options, actions, severity):
    there = host({"/proc/sys/kernel/seccomp/actions_avail": actions})
    assert engine_checks.seccomp(facts(host=there, SecurityOptions=options)).severity is severity


@pytest.mark.parametrize(("option", "severity"), [("name=apparmor", OK), ("name=selinux", OK), ("name=cgroupns", WARN)])
def test_no_security_module_is_a_warning(option, severity):
    assert engine_checks.lsm(facts(SecurityOptions=[option])).severity is severity


@pytest.mark.parametrize(
    ("options", "subuid", "severity", "word"),
    [
        ([], "", OK, "off"),
        (["name=userns"], "dockremap:100000:65536", WARN, "65536 ids"),
        (["name=userns"], "dockremap:100000:300000", OK, "nobody outside"),
        (["name=userns"], "alice:100000:65536\n# nothing of dockremap's", OK, "nobody outside"),
        (["name=rootless"], "", OK, "without root"),
    ],
)
def test_remapped_ids_must_hold_the_sandboxes(options, subuid, severity, word):
    finding = engine_checks.userns_remap(facts(host=host({"/etc/subuid": subuid}), SecurityOptions=options))
    assert (finding.severity, word in finding.seen) == (severity, True), finding.seen


def test_an_api_in_the_clear_is_bad_however_it_is_found():
    assert engine_checks.engine_tcp(facts()).severity is OK
    assert engine_checks.engine_tcp(facts(address=Address("http://127.0.0.1:2375"))).severity is BAD
    asked = engine_checks.engine_tcp(facts(host=host(daemons=Daemons(plain_apis=("0.0.0.0:2375",)))))
    assert (asked.severity, "0.0.0.0:2375" in asked.seen) == (BAD, True)
    warning = "WARNING: API is accessible on http://0.0.0.0:2375 without encryption.\n         Access to the remote API"
    assert engine_checks.engine_tcp(facts(Warnings=["WARNING: No swap limit support", warning])).severity is BAD
    assert engine_checks.engine_tcp(facts(Warnings=["WARNING: No swap limit support"])).severity is OK
    hidden = engine_checks.engine_tcp(facts(host=host(daemons=Daemons(unseen={"docker": "Permission denied"}))))
    assert (hidden.severity, "Permission denied" in hidden.seen) == (BAD, True)


@pytest.mark.parametrize(
    ("mode", "members", "severity"),
    [
        (0o660, (), OK),
        (0o666, (), BAD),
        (0o777, (), BAD),
        (0o660, ("alice", "ci"), WARN),
        (0o600, ("alice",), OK),
    ],
)
def test_whoever_may_write_to_the_socket_is_named(mode, members, severity):
    finding = engine_checks.engine_socket(facts(socket=SocketFile("/run/docker.sock", mode, "docker", members)))
    assert finding.severity is severity
    assert all(member in finding.seen for member in members) or mode == 0o600


def test_a_socket_that_cannot_be_looked_at_is_bad_and_one_of_another_machine_is_not_asked_for():
    assert engine_checks.engine_socket(facts(socket=None)).severity is BAD
    assert engine_checks.engine_socket(facts(address=Address("http://10.0.0.7:2375"))).severity is OK


def test_facts_that_are_only_warnings():
    assert engine_checks.live_restore(facts()).severity is OK
    assert engine_checks.live_restore(facts(LiveRestoreEnabled=False)).severity is WARN
    assert engine_checks.cgroup_version(facts()).severity is OK
    assert engine_checks.cgroup_version(facts(CgroupVersion="1")).severity is WARN
    assert engine_checks.cgroup_version(facts(CgroupVersion="")).severity is WARN
