"""Every attack of the table, in every language it has: the outcome is the expected one, and nothing else is touched."""

from __future__ import annotations

import pytest

from tests.attacks.attack import Attack
from tests.attacks.table import ATTACKS

EACH = [
    pytest.param(attack, language, id=f"{attack.name}-{language}") for attack in ATTACKS for language in attack.expected
]


@pytest.mark.parametrize(("attack", "language"), EACH)
def test_attack(stage, record, attack: Attack, language: str):
    result = stage.act(attack, language)
    record(attack, language, result)
    differences = result.observed.differs_from(attack.expected[language])
    assert not differences, "\n".join([*differences, *filter(None, [result.observed.stderr])])
