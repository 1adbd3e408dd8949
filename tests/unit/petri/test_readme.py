"""What the README says of the settings is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from petri.config import reference

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_the_table_of_settings_is_the_codes_own():
    table = re.search(r"<!-- settings: .*? -->\n(.*?)<!-- end of settings -->", README, re.DOTALL)
    assert table is not None
    rows = table.group(1).strip().splitlines()[2:]
    assert rows == [
        f"| `{key}` | `{variable}` | {default} | {meaning} |" for key, variable, default, meaning in reference()
    ]


def test_every_command_is_in_the_readme():
    from petri.__main__ import main

    for name in main.commands:
        assert f"`petri {name}" in README, name
