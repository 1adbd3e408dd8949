"""docs/reliability.md names a test for each fault: those it names exist, and each of tests/faults is named."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))


def test_the_page_and_the_tests_of_faults_name_each_other():
    page = (ROOT / "docs" / "reliability.md").read_text()
    of_faults = {name for path in (ROOT / "tests" / "faults").glob("test_*.py") for name in names_in(path)}
    elsewhere = set(re.findall(r"(tests/\w+/[\w/]*\.py)::(test_\w+)", page))
    assert [name for path, name in elsewhere if name not in names_in(ROOT / path)] == []
    named = set(re.findall(r"\b(test_\w+)(?!\.py)\b", page)) - {name for _, name in elsewhere}
    files = {path.stem for path in ROOT.glob("tests/**/test_*.py")}
    assert named - files == of_faults
