"""What is committed of the filter for people to read: the table in docs/seccomp.md, and the profile beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pool.seccomp.profile import profile
from pool.seccomp.rule import Action, Group
from pool.seccomp.table import GROUPS

_BEGIN = "<!-- written by `python -m pool.seccomp docs`; do not edit -->\n"
_END = "<!-- end of what is written -->\n"


def table(groups: Sequence[Group]) -> str:
    """The groups as Markdown."""
    lines = ["| what | | calls | why |", "|---|---|---|---|"]
    for group in groups:
        calls = " ".join(f"`{call}`" for call in sorted(group.calls))
        lines.append(f"| {group.name} | {_treatment(group)} | {calls} | {group.reason} |")
    return "\n".join(lines) + "\n"


def _treatment(group: Group) -> str:
    if group.action is not Action.ALLOW:
        return str(group.action.value)
    return "allowed in part, else EPERM" if group.cases else "allowed"


def with_table(page: str) -> str:
    """`page` with the table of today between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise ValueError(f"the page has no part between {_BEGIN.strip()} and {_END.strip()}")
    return before + _BEGIN + "\n" + table(GROUPS) + "\n" + _END + after


def profile_text() -> str:
    """The profile, indented."""
    return json.dumps(profile(GROUPS), indent=2) + "\n"


def write(docs: Path) -> None:
    """Bring docs/seccomp.md and docs/seccomp.json up to date with the table."""
    page = docs / "seccomp.md"
    page.write_text(with_table(page.read_text()))
    (docs / "seccomp.json").write_text(profile_text())
