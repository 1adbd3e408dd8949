"""`petri ps`: pools and sandboxes of a running gateway, as two tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from petri.client import Client

_POOL = ("template", "target", "ready", "booting", "leased", "doomed", "quarantined", "waiting", "freezer")
_SANDBOX = ("id", "language", "status", "created_at", "expires_at")


def show(client: Client, *, as_json: bool) -> None:
    """Print what there is now."""
    pools, sandboxes = client.get("/v1/pools")["pools"], client.get("/v1/sandboxes")["sandboxes"]
    if as_json:
        click.echo(json.dumps({"pools": pools, "sandboxes": sandboxes}, indent=2))
        return
    _table(_POOL, pools)
    if sandboxes:
        click.echo()
        _table(_SANDBOX, sandboxes)


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    lines = [[column.upper().replace("_", " ") for column in columns]]
    lines += [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
