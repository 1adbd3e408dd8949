"""Wait until a Petri that was started can lease, show what is missing, and give up as soon as that will not come."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

import anyio
import click

from petri.client import Client, GatewayFault
from petri.config import Config
from petri.services import Services

#: From start to every pool able to lease. Eight Python sandboxes boot in about 2 s; a cold disk or a slow engine takes
#: longer, and the progress line shows what is missing.
_READY_TIMEOUT_S = 120.0
#: A template none of whose boots came through, and so many failed: an image that is not there, a limit that the engine
#: refuses. It has a little longer, for an engine that is itself just starting; the pool tries about every other second.
_FAILED_BOOTS = 3
_FAILING_S = 5.0
#: How long there may be no engine to be used. One that starts with the machine takes some ten seconds.
_ENGINE_TIMEOUT_S = 30.0
#: Before the engine is asked whether it is the cause, and how long it has for each answer.
_ASK_ENGINE_AFTER_S = 2.0
_ENGINE_ANSWER_S = 2.0
#: Between looks. Short beside the quickest start, 0.5 s; each is one request over loopback.
_LOOK_S = 0.05


class NotReady(Exception):
    """It is not, and will not be; the message says why."""


def wait(started: Services, client: Client, config: Config) -> None:
    """Until every pool can lease; raises `NotReady`. Shows what is missing, on one line where there is a terminal."""
    since = failing_since = time.monotonic()
    progress = _Progress()
    failing: list[dict[str, Any]] = []
    while trouble := client.trouble():
        now = time.monotonic()
        if pools := _pools(client):
            failing = [pool for pool in pools if _is_failing(pool)]
        if not failing:
            failing_since = now
        # A `petri up` in the background gives up by itself, perhaps a moment before its starter.
        if failing and (started.has_ended() or now - failing_since > _FAILING_S):
            reasons = "; ".join(f"{pool['template']}: {pool['trouble']}" for pool in failing)
            raise NotReady(f"not ready, and will not be: {reasons}")
        if started.has_ended():
            raise NotReady(started.obituary())
        if now - since > _READY_TIMEOUT_S:
            raise NotReady(f"not ready after {_READY_TIMEOUT_S:g} s: {trouble}")
        engine = None
        if not pools and now - since > _ASK_ENGINE_AFTER_S and (engine := _engine_trouble(config)):
            if now - since > _ENGINE_TIMEOUT_S:
                raise NotReady(f"no container engine to be used after {_ENGINE_TIMEOUT_S:g} s: {engine}")
            engine = f"no container engine yet: {engine}"
        progress.show(_in_words(pools) if pools else engine or "starting pool and gateway")
        time.sleep(_LOOK_S)
    progress.end(f"Ready after {time.monotonic() - since:.1f} s: {_in_words(_pools(client))}")


class _Progress:
    """One line that changes, on a terminal; elsewhere a line for every change."""

    def __init__(self) -> None:
        self._shown = ""
        self._on_terminal = sys.stdout.isatty()

    def show(self, text: str) -> None:
        if text == self._shown:
            return
        self._shown = text
        if self._on_terminal:
            # Cut, since a line that is wrapped could not be taken back.
            click.echo(f"\r\033[K{text[: shutil.get_terminal_size().columns - 3]} …", nl=False)
        else:
            click.echo(text)

    def end(self, text: str) -> None:
        click.echo(f"\r\033[K{text}" if self._on_terminal else text)


def _pools(client: Client) -> Sequence[dict[str, Any]]:
    """Of every template; none while there is nobody to ask."""
    try:
        found: list[dict[str, Any]] = client.get("/v1/pools")["pools"]
    except GatewayFault:
        return []
    return found


def _is_failing(pool: dict[str, Any]) -> bool:
    return not pool["ready"] and sum(pool["boot_failures"].values()) >= _FAILED_BOOTS


def _in_words(pools: Sequence[dict[str, Any]]) -> str:
    shown = (
        f"{pool['template']} {pool['ready']}/{pool['target']}" + (f" ({pool['trouble']})" if _is_failing(pool) else "")
        for pool in pools
    )
    return "warm sandboxes: " + ", ".join(shown)


def _engine_trouble(config: Config) -> str | None:
    """Why the engine cannot be used; None if it can, as far as this process sees."""
    # Only here: a start that goes well can do without the whole of the engine's client.
    from pool.docker_engine import DockerEngine
    from pool.engine import EngineError

    async def connect() -> None:
        with anyio.fail_after(_ENGINE_ANSWER_S):
            await DockerEngine.connect(config.pool, config.pool_lock)

    try:
        anyio.run(connect)
    except EngineError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_ENGINE_ANSWER_S:g} s"
    return None
