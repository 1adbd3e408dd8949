"""The checks of a host, on what /proc and /sys of real machines say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from petri.doctor import host_checks
from petri.doctor.finding import BAD, OK, WARN
from petri.doctor.host_facts import PATHS, Host

SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities/"
SMT = "/sys/devices/system/cpu/smt/active"


def host(files=None, *, io_uring=True, release="6.12.48+deb13-amd64", **sysctls):
    """Of a kernel that has these files only. Sysctls with __ for the dot."""
    read = {f"/proc/sys/{name.replace('__', '/')}": str(value) for name, value in sysctls.items()}
    return Host(release, dict.fromkeys(PATHS) | read | (files or {}), {}, io_uring)


def swapping(*areas, **files):
    return host({"/proc/swaps": "\n".join([SWAPS, *areas])} | {name: text for name, text in files.items()})


CRYPT = {"/sys/block/dm-1/dm/uuid": "CRYPT-PLAIN-cswap"}
LVM = {"/sys/block/dm-1/dm/uuid": "LVM-Fx2wXkDrM2iXf0Jw3yQm"}


@pytest.mark.parametrize(
    ("facts", "severity", "word"),
    [
        (host({"/proc/swaps": SWAPS}), OK, "off"),
        (host(), OK, "not in this kernel"),
        (host({"/proc/swaps": ""}), BAD, "not the kernel's"),  # an empty file over it, as containers do
        (swapping("/dev/sda3                               partition\t999420\t0\t-2"), BAD, "/dev/sda3"),
        (swapping("/swap.img                               file\t\t4194300\t0\t-2"), BAD, "/swap.img"),
        (swapping("/dev/zram0                              partition\t8388604\t0\t100"), OK, "zram0"),
        (swapping("/dev/dm-1                               partition\t999420\t0\t-2", **CRYPT), OK, "dm-1"),
        (swapping("/dev/dm-1                               partition\t999420\t0\t-2", **LVM), BAD, "dm-1"),
        (swapping("/dev/zram0 partition\t1\t0\t100", "/swapfile file\t1\t0\t-2"), BAD, "at /swapfile"),
    ],
)
def test_swap_to_a_disk_in_the_clear_is_bad(facts, severity, word):
    finding = host_checks.swap(facts)
    assert (finding.severity, word in finding.seen) == (severity, True), finding


@pytest.mark.parametrize(
    ("pattern", "severity"),
    [
        ("core", OK),
        ("/var/crash/core.%p", OK),
        ("|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -F%F -- %E", BAD),
        ("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h %d %F", BAD),
        ("@/run/systemd/coredump", BAD),  # a socket, since Linux 6.16
        ("", OK),
        (None, OK),
    ],
)
def test_core_dumps_must_not_start_anything(pattern, severity):
    there = host({"/proc/sys/kernel/core_pattern": pattern})
    assert host_checks.core_pattern(there).severity is severity


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (host(kernel__io_uring_disabled=0, kernel__io_uring_group=-1), BAD),
        (host(kernel__io_uring_disabled=1, kernel__io_uring_group=-1), OK),
        (host(kernel__io_uring_disabled=1, kernel__io_uring_group=999), WARN),
        (host(kernel__io_uring_disabled=2, kernel__io_uring_group=-1), OK),
        (host(release="6.1.0-40-amd64"), BAD),  # Debian 12: in the kernel, and no way to close it
        (host(io_uring=False), OK),
        (host(io_uring=False, kernel__io_uring_disabled=0), BAD),  # only this process must not make the call
    ],
)
def test_io_uring_must_be_closed(facts, severity):
    assert host_checks.io_uring(facts).severity is severity


@pytest.mark.parametrize(("value", "severity"), [(0, BAD), (1, OK), (2, OK), (None, OK)])
def test_unprivileged_bpf_must_be_closed(value, severity):
    sysctls = {} if value is None else {"kernel__unprivileged_bpf_disabled": value}
    assert host_checks.unprivileged_bpf(host(**sysctls)).severity is severity


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (host(user__max_user_namespaces=96364), WARN),
        (host(user__max_user_namespaces=96364, kernel__unprivileged_userns_clone=1), WARN),
        (host(user__max_user_namespaces=96364, kernel__unprivileged_userns_clone=0), OK),  # Debian's switch
        (host(user__max_user_namespaces=96364, kernel__apparmor_restrict_unprivileged_userns=1), OK),  # Ubuntu's
        (host(user__max_user_namespaces=96364, kernel__apparmor_restrict_unprivileged_userns=0), WARN),
        (host(user__max_user_namespaces=0), OK),
        (host(), OK),  # not built in
    ],
)
def test_user_namespaces_for_everybody_are_a_warning(facts, severity):
    assert host_checks.user_namespaces(facts).severity is severity


@pytest.mark.parametrize(("run", "severity"), [("0", OK), ("1", BAD), ("2", OK), (None, OK)])
def test_merging_equal_pages_is_bad(run, severity):
    assert host_checks.ksm(host({} if run is None else {"/sys/kernel/mm/ksm/run": run})).severity is severity


@pytest.mark.parametrize(
    ("files", "severity", "words"),
    [
        ({"meltdown": "Not affected", "spectre_v1": "Mitigation: usercopy/swapgs barriers"}, OK, ["SMT is off"]),
        ({"retbleed": "Vulnerable", "meltdown": "Mitigation: PTI"}, WARN, ["vulnerable: retbleed"]),
        ({"mds": "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable"}, WARN, ["mds"]),
        ({"mmio_stale_data": "Unknown: No mitigations"}, WARN, ["mmio_stale_data"]),
        ({}, WARN, ["does not say"]),
    ],
)
def test_a_processor_that_leaks_is_a_warning(files, severity, words):
    finding = host_checks.cpu(host({VULNERABILITIES + name: text for name, text in files.items()}))
    assert finding.severity is severity
    assert all(word in finding.seen for word in words), finding.seen


def test_smt_is_a_warning_and_says_what_leaks_through_it():
    files = {VULNERABILITIES + "mds": "Mitigation: Clear CPU buffers; SMT vulnerable", SMT: "1"}
    finding = host_checks.cpu(host(files))
    assert (finding.severity, "SMT is on, and leaks by mds" in finding.seen) == (WARN, True)
    assert host_checks.cpu(host(files | {SMT: "0"})).severity is OK


@pytest.mark.parametrize(
    ("check", "sysctl", "weak", "good", "absent"),
    [
        (host_checks.dmesg, "kernel__dmesg_restrict", 0, 1, WARN),
        (host_checks.kptr, "kernel__kptr_restrict", 0, 1, WARN),
        (host_checks.perf_events, "kernel__perf_event_paranoid", 1, 2, OK),
        (host_checks.perf_events, "kernel__perf_event_paranoid", -1, 4, OK),
        (host_checks.ptrace, "kernel__yama__ptrace_scope", 0, 1, WARN),
        (host_checks.suid_dumpable, "fs__suid_dumpable", 1, 2, OK),
        (host_checks.suid_dumpable, "fs__suid_dumpable", 1, 0, OK),
        (host_checks.overcommit, "vm__overcommit_memory", 2, 0, OK),
    ],
)
def test_a_weak_setting_is_a_warning_with_a_remedy(check, sysctl, weak, good, absent):
    finding = check(host(**{sysctl: weak}))
    assert finding.severity is WARN
    assert "sysctl -w" in finding.remedy and finding.why
    assert check(host(**{sysctl: good})).severity is OK
    assert check(host()).severity is absent


def test_an_unguarded_kind_of_link_is_named():
    sysctls = {"fs__protected_symlinks": 0, "fs__protected_hardlinks": 1, "fs__protected_regular": 2}
    finding = host_checks.protected_links(host(**sysctls))  # fifos: Linux before 4.19 guards none
    assert (finding.severity, finding.seen) == (WARN, "not guarded: symlinks, fifos")
    assert "sysctl -w" in finding.remedy
    assert (
        host_checks.protected_links(host(**sysctls | {"fs__protected_symlinks": 1, "fs__protected_fifos": 1})).severity
        is OK
    )


def test_what_is_well_says_neither_why_nor_what_to_do():
    finding = host_checks.swap(host({"/proc/swaps": SWAPS}))
    assert (finding.why, finding.remedy) == ("", "")


@pytest.mark.parametrize("look", host_checks.HOST_CHECKS, ids=lambda look: look.id)
def test_what_cannot_be_read_is_the_worst_that_it_can_be(look):
    finding = look(Host("6.12", {}, dict.fromkeys((*PATHS, VULNERABILITIES + "mds"), "Permission denied"), True))
    assert finding.severity is look.worst
    assert "Permission denied" in finding.seen
    assert "as root" in finding.remedy


def test_an_encrypted_swap_whose_mapping_cannot_be_read_is_bad():
    facts = swapping("/dev/dm-1                               partition\t999420\t0\t-2")
    facts = replace(facts, unreadable={"/sys/block/dm-1/dm/uuid": "Permission denied"})
    assert "Permission denied" in host_checks.swap(facts).seen


def test_a_setting_that_is_no_number_is_not_well():
    for look, name in (
        (host_checks.io_uring, "kernel/io_uring_disabled"),
        (host_checks.unprivileged_bpf, "kernel/unprivileged_bpf_disabled"),
        (host_checks.overcommit, "vm/overcommit_memory"),
    ):
        for garbage in ("\x00?", ""):
            assert look(host({f"/proc/sys/{name}": garbage})).severity is look.worst


def test_a_file_that_nobody_gathers_does_not_pass_for_one_that_is_not_there():
    with pytest.raises(KeyError, match="never_gathered"):
        host().sysctl("kernel.never_gathered")
    with pytest.raises(KeyError, match="never_gathered"):
        host().number("kernel.never_gathered")
