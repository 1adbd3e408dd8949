"""The published holes in engine, containerd and runc that matter here, and which of them a host still has.

The table was last read against the upstream advisories in November 2026. To add one: its CVE numbers as distributions
write them in changelogs, and the first release of each branch that has the fix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from petri.doctor.finding import BAD, WARN, Severity
from petri.doctor.versions import Version, is_fixed


@dataclass(frozen=True, slots=True)
class Advisory:
    component: str
    cves: tuple[str, ...]
    fixed_in: tuple[str, ...]
    severity: Severity
    what: str


ADVISORIES = (
    Advisory("runc", ("CVE-2024-21626",), ("1.1.12",), BAD, "a leaked descriptor leads out of the container"),
    Advisory(
        "runc",
        ("CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"),
        ("1.2.8", "1.3.3", "1.4.0-rc.3"),
        BAD,
        "races over masked paths, /dev/console and /proc write to the host's kernel",
    ),
    # Low upstream, and out of reach below Docker's own layer for /dev.
    Advisory("runc", ("CVE-2026-41579",), ("1.3.6", "1.4.3", "1.5.0"), WARN, "an image's /dev link touches host files"),
    # Petri's own seccomp profile refuses the socket family; every other container of the host has only the engine's.
    Advisory(
        "docker", ("CVE-2026-31431",), ("29.4.3",), BAD, "the engine's seccomp profile leaves AF_ALG (Copy Fail) open"
    ),
    # Petri copies nothing this way; one `docker cp` by an operator into a hostile container is enough.
    Advisory(
        "docker",
        ("CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"),
        ("29.5.1",),
        BAD,
        "copying files into or out of a container runs or writes what the container chooses, as the host's root",
    ),
    # Both only where an authorization plugin guards the API.
    Advisory(
        "docker", ("CVE-2024-41110",), ("23.0.15", "25.0.6", "26.1.5", "27.1.1"), WARN, "AuthZ plugins are passed by"
    ),
    Advisory("docker", ("CVE-2026-34040",), ("29.3.1",), WARN, "AuthZ plugins are passed by with a long request"),
    Advisory(
        "containerd",
        ("CVE-2024-25621",),
        ("1.7.29", "2.0.7", "2.1.5", "2.2.0"),
        BAD,
        "any user of the host may walk into containerd's directories",
    ),
    Advisory(
        "containerd", ("CVE-2024-40635",), ("1.6.38", "1.7.27", "2.0.4"), WARN, "an image's huge user id becomes root"
    ),
)


def still_open(component: str, version: Version, backported: frozenset[str]) -> list[tuple[Advisory, list[str]]]:
    """Advisories that neither the upstream version nor the distribution's own fixes close, with the open CVEs of each.

    `backported`: the CVEs that the installed package's changelog says it fixes.
    """
    unfixed = [one for one in ADVISORIES if one.component == component and not is_fixed(version, one.fixed_in)]
    left = [(advisory, [cve for cve in advisory.cves if cve not in backported]) for advisory in unfixed]
    return [(advisory, cves) for advisory, cves in left if cves]


def first_with_all(advisories: Iterable[Advisory]) -> list[str]:
    """The first release of each branch in which none of these is open any more."""
    together = list(advisories)
    releases = dict.fromkeys(release for one in together for release in one.fixed_in)
    versions = {release: version for release in releases if (version := Version.parse(release)) is not None}
    complete = {
        release: version
        for release, version in versions.items()
        if all(is_fixed(version, one.fixed_in) for one in together)
    }
    return [
        release
        for release, version in sorted(complete.items(), key=lambda item: item[1])
        if not any(other.branch == version.branch and other < version for other in complete.values())
    ]
