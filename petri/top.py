"""`petri top`: pools, leases, queues and runs of a running gateway, live in the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import get_args

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.metrics import LOST
from gateway.schema import RunStatus
from petri import stop_signals
from petri.client import Client, GatewayFault
from petri.logs import escaped
from petri.top_numbers import Recent, Sample

_EVERY_S = 1.0
#: For an answer. The view must not stand still for longer because the gateway does.
_ANSWER_S = 2.0
_COUNTS = ("target", "ready", "booting", "leased", "doomed")
_OUTCOMES = ("hit", "waited", "timeout", "refused")
_STATUSES = (*get_args(RunStatus), LOST)
_QUIT = b"qQ\x03\x04"
#: Where a name is cut: with it, the widest table fits into 80 columns.
_NAME_COLUMNS = 12


def show(client: Client, *, once: bool) -> None:
    """Until `q` or a signal; with `once`, or without a terminal, one frame. Raises `GatewayFault` at the start."""
    console = Console(highlight=False, markup=False, emoji=False)
    recent = Recent()
    recent.add(_sample(client))
    if once or not console.is_terminal:
        time.sleep(_EVERY_S)  # a rate takes two looks
        recent.add(_sample(client))
        console.print(frame(client.url, recent, None))
        return
    with contextlib.suppress(stop_signals.Stop), stop_signals.raising(), _keys() as keys:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            trouble = None
            while True:
                live.update(frame(client.url, recent, trouble), refresh=True)
                if _quit_within(_EVERY_S, keys):
                    return
                try:
                    recent.add(_sample(client))
                    trouble = None
                except GatewayFault as fault:  # it may come back, and the last numbers stay interesting
                    trouble = str(fault)


def frame(url: str, recent: Recent, trouble: str | None) -> Group:
    """Everything that is shown at one moment."""
    sample = recent.newest
    head = Text.assemble(
        ("petri top", "bold"),
        f"  {url}  {time.strftime('%H:%M:%S')}  {sample.connections:g} connections   ",
        ("q quits", "dim"),
    )
    pools = _table("", *_COUNTS, "queue", "hit 1m", "hit", "boot ms")
    leases = _table("leases/s", *_OUTCOMES)
    runs = _table("runs/s", *_STATUSES)
    for name, pool in sample.pools.items():
        row = [str(pool[count]) for count in _COUNTS] + [str(pool["waiting"])]
        row += [_share(recent.hit_rate(name, lately=lately)) for lately in (True, False)]
        pools.add_row(name, *row, _milliseconds(pool["sizing"]["boot_s"]))
        leases.add_row(name, *(_rate(recent.leases_per_s(name, outcome)) for outcome in _OUTCOMES))
        runs.add_row(name, *(_rate(recent.runs_per_s(name, status)) for status in _STATUSES))
    return Group(head, Text(), *_troubles(sample, trouble), pools, Text(), leases, Text(), runs)


def _troubles(sample: Sample, trouble: str | None) -> Iterator[Text]:
    """First on the screen, so that no small window cuts them off."""
    said = [f"no new numbers: {trouble}"] if trouble else []
    said += [f"{name}: {pool['trouble']}" for name, pool in sample.pools.items() if pool["trouble"]]
    if sample.violations:
        said.append(f"{sample.violations:g} violations of invariants: a bug; the pool's log has more")
    if sample.unwanted:
        said.append(f"{sample.unwanted:g} containers with Petri's label that the pool does not know")
    yield from (Text(escaped(one.replace("\n", " ")), style="bold red", overflow="fold") for one in said)
    if said:
        yield Text()


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for at, title in enumerate(titles):
        if at == 0:
            table.add_column(title, min_width=_NAME_COLUMNS, max_width=_NAME_COLUMNS, no_wrap=True)
        else:
            table.add_column(title, justify="right", no_wrap=True)
    return table


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:.1f}" if per_s else "."


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f}" if seconds else "-"


def _sample(client: Client) -> Sample:
    pools = client.get("/v1/pools", within_s=_ANSWER_S)["pools"]
    return Sample.of(time.monotonic(), pools, client.text("/metrics", within_s=_ANSWER_S))


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """Standard input, each key as it is pressed and none of them shown; None where it is no terminal."""
    fd = sys.stdin.fileno()
    if not os.isatty(fd):
        yield None
        return
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _quit_within(seconds: float, keys: int | None) -> bool:
    """Wait that long, or until a key that quits; True for that."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if keys is None:
            time.sleep(left)
        elif select.select([keys], [], [], left)[0]:
            pressed = os.read(keys, 64)
            if not pressed or any(key in _QUIT for key in pressed):
                return True
    return False
