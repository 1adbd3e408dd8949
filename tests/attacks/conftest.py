"""A Petri to be attacked, one for all attacks, and the record of what came of each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.attacks.attack import Attack
from tests.attacks.remains import host_facts
from tests.attacks.scene import Result, Stage
from tests.docker.conftest import petri, run_directory

#: What the last run of each attack came to: `python -m tests.attacks.report` makes the table in docs/security.md of it.
RESULTS = Path(__file__).parent / "results.json"
_KEPT_OF_STDERR = 1000


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    sizes = {
        f"PETRI_TEMPLATE_{template}_{bound}": size  # the same for both, so that a full pool stays as it is
        for template, size in (("PYTHON", "3"), ("NODE", "2"), ("GO", "2"))
        for bound in ("TARGET", "MAX_TARGET")
    }
    with run_directory() as directory, petri(directory, f"attacks-{os.getpid()}", **sizes) as one:
        one.start("pool", "gateway")
        one.wait_until_full()
        with one.client() as client:
            yield Stage(one, client)


@pytest.fixture(scope="session")
def record(stage: Stage) -> Iterator[Callable[[Attack, str, Result], None]]:
    """Keeps a result. Those of attacks that were not made this time stay as they are, unless the machine changed."""
    facts = host_facts(stage.petri.engine)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = before["results"] if before.get("host") == facts else {}

    def keep(attack: Attack, language: str, result: Result) -> None:
        kept = asdict(result)
        kept["observed"]["stderr"] = result.observed.stderr[:_KEPT_OF_STDERR]
        results.setdefault(attack.name, {})[language] = kept

    yield keep
    RESULTS.write_text(json.dumps({"host": facts, "results": results}, indent=1) + "\n")
