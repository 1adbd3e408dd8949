"""docs/hardening.md is what the code looks for, and its settings satisfy it."""

from __future__ import annotations

import re
from pathlib import Path

from petri.doctor.advisories import ADVISORIES
from petri.doctor.finding import OK
from petri.doctor.host_checks import HOST_CHECKS
from petri.doctor.host_facts import PATHS, Host
from petri.doctor.production import reference

PAGE = (Path(__file__).parents[3] / "docs/hardening.md").read_text()


def rows(name):
    table = re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- end of {name} -->", PAGE, re.DOTALL)
    assert table is not None
    return table.group(1).strip().splitlines()[2:]


def test_every_check_is_explained():
    assert rows("checks") == [f"| `{name}` | {worst} | {why} | {remedy} |" for name, worst, why, remedy in reference()]


def test_every_known_hole_is_listed():
    assert rows("advisories") == [
        f"| {one.component} | {', '.join(one.cves)} | {one.severity} | {one.what} | {' / '.join(one.fixed_in)} |"
        for one in ADVISORIES
    ]


def test_every_check_says_why_in_a_sentence_and_what_to_do():
    for name, _, why, remedy in reference():
        assert why[0].isupper() or why.startswith(("runc ", "containerd ", "io_uring ", "perf_event_open ")), name
        assert why.endswith(".") and remedy and not remedy.endswith("."), name
        assert "|" not in why + remedy, name  # would break the table


def test_the_settings_that_the_page_gives_satisfy_every_check_of_a_setting():
    block = re.search(r"60-petri.conf.*?```\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    pairs = [line.split(" = ") for line in block.group(1).splitlines() if line and not line.startswith("#")]
    files = dict.fromkeys(PATHS) | {"/proc/sys/" + key.replace(".", "/"): value for key, value in pairs}
    host = Host("6.12.48+deb13-amd64", files, {}, has_io_uring=True)
    findings = {look.id: look(host) for look in HOST_CHECKS if "sysctl -w" in look.remedy}
    assert len(findings) == 11
    assert [finding for finding in findings.values() if finding.severity is not OK] == []
