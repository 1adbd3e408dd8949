"""Write many attempts with one result."""

from __future__ import annotations


def each(names: str, result: str) -> dict[str, str]:
    """Of every name, which stand one after the other with a comma or a new line between them."""
    return dict.fromkeys((name.strip() for line in names.strip().splitlines() for name in line.split(", ")), result)
