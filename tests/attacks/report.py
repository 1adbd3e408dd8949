"""Write what attacks came to into docs/security.md: `python -m tests.attacks.report`, after all have been made."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.attacks.attack import Attack
from tests.attacks.conftest import RESULTS
from tests.attacks.outcome import Observed
from tests.attacks.table import ATTACKS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
BEGIN = "<!-- written by `python -m tests.attacks.report`; do not edit -->\n"
END = "<!-- end of what is written -->\n"


def expectations() -> Iterator[tuple[Attack, str, str]]:
    """Every attack in every language it is made in, with the first cells of its line in the table."""
    for attack in ATTACKS:
        for language, expected in attack.expected.items():
            yield (
                attack,
                language,
                f"| {attack.row} | {attack.aim}. `{attack.name}` | {language} | {_cell(str(expected))} |",
            )


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """In Markdown. A KeyError names the attack that has not been made."""
    lines = ["| row | attack | language | must come to | came to |", "|---|---|---|---|---|"]
    for attack, language, beginning in expectations():
        lines.append(f"{beginning} {_came_to(attack, language, results[attack.name][language])} |")
    return "\n".join(lines) + "\n"


def _came_to(attack: Attack, language: str, result: Mapping[str, Any]) -> str:
    observed = Observed(**result["observed"])
    expected = attack.expected[language]
    if differences := observed.differs_from(expected):
        return _cell("**not that:** " + "; ".join(differences))
    parts = [f"`{observed.status}` after {result['seconds']:.2f} s"]
    if observed.attempts:
        parts.append(f"{len(observed.attempts)} of {len(observed.attempts)} attempts so")
    parts += [f"{name}: {value}" for name, value in observed.facts.items()]
    parts.append(f"neighbour: {result['neighbour_runs']} right, slowest {result['neighbour_slowest_s']:.2f} s")
    return _cell("; ".join(parts))


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def with_results(page: str, made: Mapping[str, Any]) -> str:
    """`page` with these results between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no part between {BEGIN.strip()} and {END.strip()}")
    host = ", ".join(f"{what} {value}" for what, value in made["host"].items())
    return f"{before}{BEGIN}\nSeen on: {host}.\n\n{table(made['results'])}\n{END}{after}"


if __name__ == "__main__":
    try:
        PAGE.write_text(with_results(PAGE.read_text(), json.loads(RESULTS.read_text())))
    except (FileNotFoundError, KeyError) as error:
        sys.exit(f"run all of tests/attacks on this machine first: no result of {error}")
