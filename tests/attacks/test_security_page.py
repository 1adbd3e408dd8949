"""docs/security.md lists the attacks that there are, what must come of each, and who tests each row of its model."""

from __future__ import annotations

import re

from tests.attacks.report import BEGIN, END, PAGE, ROOT, expectations
from tests.attacks.table import ATTACKS


def results() -> list[str]:
    text = PAGE.read_text()
    return [line for line in text[text.index(BEGIN) : text.index(END)].splitlines() if re.match(r"\| [A-Z]\d", line)]


def model() -> dict[str, str]:
    """The line of every row of the threat model."""
    before = PAGE.read_text().partition(BEGIN)[0]
    return {line.split("|")[1].strip(): line for line in before.splitlines() if re.match(r"\| [A-Z]\d", line)}


def test_the_table_has_every_attack_and_what_must_come_of_it():
    listed = [line.rsplit(" | ", 1)[0] + " |" for line in results()]
    assert listed == [beginning for _, _, beginning in expectations()], (
        "make all attacks, then run tests.attacks.report"
    )


def test_no_attack_has_come_to_something_else():
    assert not [line for line in results() if "**not that:**" in line]


def test_every_row_of_the_model_is_attacked_or_says_where_it_is_tested():
    attacked = {attack.row for attack in ATTACKS}
    for row, line in model().items():
        elsewhere = re.findall(r"\((?:\.\./)(tests/[^)]+)\)", line)
        assert row in attacked or elsewhere or "does not apply" in line, line
        assert all((ROOT / path).exists() for path in elsewhere), line
    assert attacked <= model().keys()
