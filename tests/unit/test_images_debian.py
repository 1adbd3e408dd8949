"""Which package sources an image is made from: the distribution's own, and no others that the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.images import debian
from runners.images.debian import Distribution
from runners.images.steps import BuildError, Steps

BOOKWORM = Distribution("debian", "bookworm")
JAMMY = Distribution("ubuntu", "jammy")
KEY = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"


class Apt:
    """Programs named apt-get, apt-config and dpkg that answer what a test lays down for them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        answers = {
            "apt-get": 'case "$*" in *targets*) cat "$0.targets" ;; *) mv "$0.after" "$0.targets"; exit 100 ;; esac',
            "apt-config": 'cat "$0.options"',
            "dpkg": "echo amd64",
        }
        for name, answer in answers.items():
            program = directory / name
            program.write_text(f"#!/bin/sh\n{answer}\n")
            program.chmod(0o755)
        self.knows()

    def knows(self, *targets: str, after_update: tuple[str, ...] = ()) -> None:
        """One target a word: origin, codename, architecture, URI, suite, component, sources file and number."""
        for name, lines in (("targets", targets), ("after", after_update)):
            text = "".join("\t".join(line.split()) + "\n" for line in lines)
            (self._directory / f"apt-get.{name}").write_text(text)

    def is_set_to(self, *options: str) -> None:
        (self._directory / "apt-config.options").write_text("\n".join(options))


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    return Apt(directory)


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps("python", 5, lambda step: None, tmp_path / "log")


def test_a_third_party_source_is_not_used(apt: Apt, steps: Steps) -> None:
    apt.knows(
        "Debian bookworm amd64 http://mirror/debian/ bookworm main /nowhere:1",
        "Debian bookworm amd64 http://mirror/debian/ bookworm contrib /nowhere:1",
        "Debian bookworm-security amd64 http://mirror/security/ bookworm-security main /nowhere:2",
        "Vendor bookworm amd64 http://vendor/ bookworm stable /nowhere:3",
        "$(ORIGIN) $(CODENAME) amd64 http://unreachable/ bookworm main /nowhere:4",
    )

    assert debian._sources(steps, BOOKWORM) == [
        f"deb [{KEY}] http://mirror/debian/ bookworm main contrib",
        f"deb [{KEY}] http://mirror/security/ bookworm-security main",
    ]


def test_other_releases_architectures_and_backports_are_not_used(apt: Apt, steps: Steps) -> None:
    apt.knows(
        "Debian bookworm amd64 http://mirror/ stable main /nowhere:1",
        "Debian trixie amd64 http://mirror/ trixie main /nowhere:1",
        "Debian bookworm arm64 http://mirror/ stable main /nowhere:1",
        "Debian bookworm-backports amd64 http://mirror/ bookworm-backports main /nowhere:1",
    )

    assert debian._sources(steps, BOOKWORM) == [f"deb [{KEY}] http://mirror/ stable main"]


def test_ubuntu_gives_all_suites_one_codename_and_its_backports_are_still_not_used(apt: Apt, steps: Steps) -> None:
    apt.knows(
        "Ubuntu jammy amd64 http://mirror/ jammy main /nowhere:1",
        "Ubuntu jammy amd64 http://mirror/ jammy-security main /nowhere:1",
        "Ubuntu jammy amd64 http://mirror/ jammy-backports main /nowhere:1",
        "Ubuntu jammy amd64 http://mirror/ jammy-proposed main /nowhere:1",
    )

    key = "signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg"
    assert debian._sources(steps, JAMMY) == [
        f"deb [{key}] http://mirror/ jammy main",
        f"deb [{key}] http://mirror/ jammy-security main",
    ]


def test_a_mirror_with_a_key_of_its_own_is_checked_by_that_key(apt: Apt, steps: Steps, tmp_path: Path) -> None:
    deb822 = tmp_path / "debian.sources"
    deb822.write_text(
        "# the first stanza\nTypes: deb\nSigned-By:\n -----BEGIN PGP\n .\n\n"
        "Types: deb\nSigned-By: /etc/keys/company.gpg\n\n\n"
        "Types: deb\nTrusted: yes\n"
    )
    one_line = tmp_path / "debian.list"
    one_line.write_text(
        "# nothing\ndeb [ arch=amd64 Signed-By=/etc/keys/other.gpg ] http://d/ bookworm main\ndeb http://e/ x main\n"
    )
    apt.knows(
        *(
            f"Debian bookworm amd64 http://{name}/ bookworm main {file}:{number}"
            for name, file, number in (
                ("a", deb822, 1),
                ("b", deb822, 2),
                ("c", deb822, 3),
                ("d", one_line, 2),
                ("e", one_line, 3),
                ("f", one_line, 99),
            )
        )
    )

    trust = {line.split()[2]: line.split("[")[1].split("]")[0] for line in debian._sources(steps, BOOKWORM)}

    assert trust == {
        "http://a/": KEY,
        "http://b/": "signed-by=/etc/keys/company.gpg",
        "http://c/": "trusted=yes",
        "http://d/": "signed-by=/etc/keys/other.gpg",
        "http://e/": KEY,
        "http://f/": KEY,
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root updates package lists")
def test_lists_are_fetched_when_there_are_none_even_if_another_source_fails(apt: Apt, steps: Steps) -> None:
    apt.knows(after_update=("Debian bookworm amd64 http://mirror/ bookworm main /nowhere:1",))

    assert debian._sources(steps, BOOKWORM) == [f"deb [{KEY}] http://mirror/ bookworm main"]


def test_a_machine_whose_apt_knows_nothing_of_the_distribution_is_told_so(apt: Apt, steps: Steps) -> None:
    apt.knows("Vendor bookworm amd64 http://vendor/ bookworm main /nowhere:1")

    with pytest.raises(BuildError, match="no package list that Debian published for bookworm; run apt-get update"):
        debian._sources(steps, BOOKWORM)


def test_how_to_reach_a_mirror_is_taken_over_and_what_else_to_fetch_is_not(apt: Apt) -> None:
    apt.is_set_to(
        'Acquire::http::Proxy "http://proxy:3142";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::IndexTargets::deb::Contents::MetaKey "x";',
        'APT::Update::Post-Invoke:: "anything";',
        'Dir "/";',
    )

    options = debian._apt_options().splitlines()

    assert options[:2] == ['Acquire::http::Proxy "http://proxy:3142";', 'Acquire::Check-Valid-Until "false";']
    assert not [line for line in options if not line.startswith("Acquire::") or "IndexTargets" in line]
