"""Versions as engines and distributions write them, the table of holes, and what changelogs say of it."""

from __future__ import annotations

import gzip

import pytest

from petri.doctor import packages
from petri.doctor.advisories import ADVISORIES, first_with_all, still_open
from petri.doctor.packages import Package, fixed_by, of_component, parse_dpkg, parse_rpm
from petri.doctor.versions import Version, is_fixed

RUNC_OF_DEBIAN_12 = """\
runc (1.1.5+ds1-1+deb12u1) bookworm-security; urgency=high

  * Team upload.
  * CVE-2024-21626: several container breakouts due to internally leaked fds

 -- Shengjing Zhu <zhsj@debian.org>  Fri, 02 Feb 2024 21:53:05 +0800

runc (1.1.5+ds1-1) unstable; urgency=medium

  * New upstream version 1.1.5+ds1
    + CVE-2023-25809: rootless: `/sys/fs/cgroup` is writable when cgroupns
      isn't unshared
    + CVE-2023-27561: Incorrect Authorization vulnerability
      (re-introduced CVE-2019-19921) (Closes: #1033520)

 -- Shengjing Zhu <zhsj@debian.org>  Wed, 29 Mar 2023 17:24:36 +0800
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.1.5+ds1", (1, 1, 5)),
        ("1.1.5+ds1-1+deb12u1", (1, 1, 5)),
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("5:28.5.2-1~debian.12~bookworm", (28, 5, 2)),
        ("1.6.20~ds1", (1, 6, 20)),
        ("v2.1.4", (2, 1, 4)),
        ("1.3.3-0ubuntu1~24.04.2", (1, 3, 3)),
        ("27.5.1-0ubuntu3~24.04.2", (27, 5, 1)),
        ("1.2", (1, 2, 0)),
    ],
)
def test_an_upstream_version_is_read_out_of_what_distributions_write(text, version):
    assert Version.parse(text) == Version(*version)


def test_a_candidate_comes_before_its_release_and_after_the_one_before():
    texts = ["1.3.9", "1.4.0-beta.1", "1.4.0-rc.2", "1.4.0~rc.3+ds1", "1.4.0-rc.10", "1.4.0", "1.4.1"]
    versions = [Version.parse(text) for text in texts]
    assert versions == sorted(versions) and len(set(versions)) == len(texts)
    assert Version.parse("1.0.0~rc93+ds1-5+deb11u5") == Version(1, 0, 0, (2, 93))


@pytest.mark.parametrize("text", ["", "dev", "HEAD-5d6db84", "2", "library-import"])
def test_what_is_not_a_version_is_none(text):
    assert Version.parse(text) is None


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ("1.1.12", False),  # a branch without a fix
        ("1.2.7", False),
        ("1.2.8", True),
        ("1.3.2", False),
        ("1.3.3", True),
        ("1.4.0-rc.2", False),
        ("1.4.0-rc.3", True),
        ("1.4.0", True),
        ("1.5.0-rc.1", True),  # later than every fix
    ],
)
def test_a_fix_counts_on_its_own_branch_and_after_all(version, fixed):
    parsed = Version.parse(version)
    assert parsed and is_fixed(parsed, ("1.2.8", "1.3.3", "1.4.0-rc.3")) is fixed


def holes(component, version, backported=()):
    parsed = Version.parse(version)
    assert parsed
    return {cve for _, cves in still_open(component, parsed, frozenset(backported)) for cve in cves}


def test_what_a_distribution_fixed_is_not_held_against_its_old_number():
    three = {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}
    assert holes("runc", "1.1.5+ds1") == {"CVE-2024-21626", "CVE-2026-41579"} | three
    assert holes("runc", "1.1.5+ds1", {"CVE-2024-21626"}) == {"CVE-2026-41579"} | three
    # One of three that came out together is not all of them.
    assert holes("runc", "1.1.15", {"CVE-2025-52565", "CVE-2026-41579"}) == three - {"CVE-2025-52565"}


def test_the_newest_releases_have_no_open_hole():
    assert holes("docker", "29.8.2") == holes("runc", "1.5.2") == holes("containerd", "2.3.6") == set()


def test_what_to_upgrade_to_has_every_fix_at_once():
    by_component = {name: [one for one in ADVISORIES if one.component == name] for name in ("docker", "runc")}
    assert first_with_all(by_component["docker"]) == ["29.5.1"]
    assert first_with_all(by_component["runc"]) == ["1.3.6", "1.4.3", "1.5.0"]  # 1.2 has no release with all


def test_every_advisory_is_about_versions_that_can_be_read_and_cves_as_changelogs_write_them():
    for advisory in ADVISORIES:
        assert advisory.component in packages.PACKAGES
        assert all(Version.parse(release) for release in advisory.fixed_in) and advisory.fixed_in
        assert fixed_by(" ".join(advisory.cves)) == set(advisory.cves) != set()


def test_a_changelog_says_what_is_fixed_and_not_what_came_back():
    assert fixed_by(RUNC_OF_DEBIAN_12) == {"CVE-2024-21626", "CVE-2023-25809", "CVE-2023-27561"}


def test_a_fix_that_was_taken_out_again_is_none_until_it_returns():
    fix = "runc (1-2) stable\n  * Fix CVE-2025-31133\n"
    revert = "runc (1-3) stable\n  * Revert the fix of CVE-2025-31133, which broke exec\n"
    assert fixed_by(fix) == {"CVE-2025-31133"}
    assert fixed_by(revert + fix) == set()
    assert fixed_by(fix.replace("1-2", "1-4") + revert + fix) == {"CVE-2025-31133"}


@pytest.mark.parametrize(
    ("package", "version", "commit", "is_it"),
    [
        (("runc", "1.1.5+ds1-1+deb12u1"), "1.1.5+ds1", "1.1.5+ds1-1+deb12u1", True),  # Debian
        (("runc", "1.3.3-0ubuntu1~24.04.2"), "1.3.3-0ubuntu1~24.04.2", "", True),  # Ubuntu
        (("docker.io", "20.10.24+dfsg1-1+deb12u1+b6"), "20.10.24+dfsg1", "5d6db84", True),
        (("docker-ce", "5:28.5.2-1~debian.12~bookworm"), "28.5.2", "89c5e8f", True),
        # A binary put in /usr/local beside the package: the package's changelog says nothing of it.
        (("runc", "1.1.5+ds1-1+deb12u1"), "1.1.5", "v1.1.5-0-gf19387a6", False),
        (("runc", "1.1.5+ds1-1+deb12u1"), "1.1.50", "", False),
    ],
)
def test_a_package_speaks_only_for_the_binary_that_it_brought(package, version, commit, is_it):
    found = of_component([Package(*package, None)], "docker" if "docker" in package[0] else "runc", version, commit)
    assert (found is not None) is is_it


def test_only_what_is_installed_is_read_from_the_databases():
    said = "containerd 1.6.20~ds1-1+deb12u3 ii \ndocker-ce  un \nmoby-engine 27.0 rc \nrunc 1.1.5+ds1-1+deb12u1 ii \n"
    assert parse_dpkg(said) == [("containerd", "1.6.20~ds1-1+deb12u3"), ("runc", "1.1.5+ds1-1+deb12u1")]
    said = "package containerd is not installed\ncontainerd.io 1.7.28-1.el9\ndocker-ce 28.4.0-1.el9\n"
    assert parse_rpm(said) == [("containerd.io", "1.7.28-1.el9"), ("docker-ce", "28.4.0-1.el9")]


def test_packages_are_asked_of_the_machines_own_tool_and_changelogs_read_where_they_lie(tmp_path, monkeypatch):
    tool = tmp_path / "bin/dpkg-query"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\necho 'runc 1.1.5+ds1-1+deb12u1 ii'\necho 'containerd 1.6.20~ds1-1+deb12u3 ii'\nexit 1\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    changelog = tmp_path / "usr/share/doc/runc/changelog.Debian.gz"
    changelog.parent.mkdir(parents=True)
    changelog.write_bytes(gzip.compress(RUNC_OF_DEBIAN_12.encode()))
    found = {package.name: package for package in packages.installed(tmp_path)}
    assert "CVE-2024-21626" in (found["runc"].fixed or ())
    assert found["containerd"].fixed is None  # installed without its documentation


def test_a_machine_with_rpm_is_asked_with_rpm(tmp_path, monkeypatch):
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "rpm").write_text(
        "#!/bin/sh\n"
        'case "$*" in *--changelog*) echo "- Resolves: CVE-2025-31133" ;; *) echo "runc 1.2.5-3.el9_7" ;; esac\n'
    )
    for tool in ("dpkg-query", "rpm"):
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert packages.installed() == (Package("runc", "1.2.5-3.el9_7", frozenset({"CVE-2025-31133"})),)
