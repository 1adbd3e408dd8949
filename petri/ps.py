"""`petri ps`: pools and sandboxes of a running gateway, as two tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from petri.client import Client

_POOL = ("template", "target", "ready", "booting", "leased", "doomed", "quarantined", "waiting", "freezer")
_SANDBOX = ("id", "template", "state", "seconds", "reason", "session", "expires_at")


def show(client: Client, *, as_json: bool) -> None:
    """Print what there is now: every pool with every sandbox of it, and what the gateway keeps as sessions."""
    pools, sessions = client.get("/v1/pools")["pools"], client.get("/v1/sandboxes")["sandboxes"]
    for pool in pools:
        found = client.get(f"/v1/pools/{pool['template']}/sandboxes")
        pool |= {"sandboxes": found["sandboxes"], "left_out": found["left_out"]}
    if as_json:
        click.echo(json.dumps({"pools": pools, "sandboxes": sessions}, indent=2))
        return
    _table(_POOL, pools)
    if rows := _sandboxes(pools, sessions):
        click.echo()
        _table(_SANDBOX, rows)
    for pool in pools:
        if pool["left_out"]:
            click.echo(f"… and {pool['left_out']} more of {pool['template']}")


def _sandboxes(pools: Sequence[dict[str, Any]], sessions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each. A session's own row where the pool has just ended what the gateway still keeps."""
    kept = {one["id"]: {"session": one["status"], "expires_at": one["expires_at"]} for one in sessions}
    rows = [
        {**one, "template": pool["template"], "seconds": f"{one['seconds']:.0f}", **kept.pop(one["id"], {})}
        for pool in pools
        for one in pool["sandboxes"]
    ]
    language = {one["id"]: one["language"] for one in sessions}
    return rows + [{"id": name, "template": language[name], "state": "-", **one} for name, one in kept.items()]


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    lines = [[column.upper().replace("_", " ") for column in columns]]
    lines += [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
