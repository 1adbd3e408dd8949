"""`petri down`: end what `petri up` started, and whatever an earlier one that was killed has left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import anyio
import click

from petri.config import Config
from pool import process_lock
from pool.engine import EngineError

#: Beyond the times that draining and closing are given, for the processes themselves to end.
_STOP_SLACK_S = 10.0
#: Between looks at a lock whose owner was asked to end.
_LOOK_S = 0.05


class DownFault(Exception):
    """Something did not end; the message is for a person."""


def longest_stop_s(config: Config) -> float:
    """How long one of the processes may take to end before it is killed."""
    return max(config.pool.drain_s, config.gateway.drain_s) + config.pool.close_s + _STOP_SLACK_S


def longest_stop_of_up_s(config: Config) -> float:
    """The same for a `petri up`, which ends one service after the other."""
    return 2 * longest_stop_s(config)


def down(config: Config) -> int:
    """End this configuration's `petri up`, and wait until nothing of it is left. The exit status."""
    was_up = _end("petri up", config.up_lock, longest_stop_of_up_s(config))
    # Whose starter was killed: they end by themselves, but are waited for.
    was_up |= _end("its gateway", config.gateway_lock, longest_stop_s(config))
    was_up |= _end("its pool", config.pool_lock, longest_stop_s(config))
    if not was_up:
        swept = sweep(config)
        click.echo(f"Petri is not up under the pool name {config.pool.name}.{_in_words(swept)}{_others(config)}")
        return 0
    click.echo("Petri is down.")
    return 0


def _others(config: Config) -> str:
    """Of other names, with this run directory."""
    held = [lock for lock in sorted(config.run_dir.glob("up-*.lock")) if process_lock.is_held(lock)]
    names = ", ".join(f"{lock.stem.removeprefix('up-')} ({process_lock.note(lock)})" for lock in held)
    return f" Up are: {names}; PETRI_POOL_NAME chooses." if names else ""


def _end(who: str, lock: Path, longest_s: float) -> bool:
    """False if there is nothing to end."""
    if not process_lock.is_held(lock):
        return False
    pid = process_lock.owner(lock)
    if pid is None:
        raise DownFault(f"{lock} names no process, though one holds it")
    click.echo(f"Ending {who}, pid {pid} …")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has ended since
    except PermissionError as error:
        raise DownFault(f"pid {pid} belongs to another user, who has to end it") from error
    give_up = time.monotonic() + longest_s
    while process_lock.is_held(lock):
        if time.monotonic() > give_up:
            raise DownFault(f"pid {pid} has not ended; `kill -9 {pid}` ends it, and `petri down` then sweeps")
        time.sleep(_LOOK_S)
    return True


def sweep(config: Config) -> int:
    """Remove the containers that a pool of this name left when it was killed; how many.

    Does nothing while a pool of this name runs, and where no engine answers.
    """
    # Only here: `petri up` can do without the whole of the engine's client.
    from pool.docker_engine import DockerEngine

    async def sweep_once() -> int:
        return await (await DockerEngine.connect(config.pool, config.pool_lock)).sweep()

    try:
        with process_lock.held(config.pool_lock):
            return anyio.run(sweep_once)
    except (process_lock.Held, EngineError):
        return 0


def sweep_after_a_kill(config: Config) -> None:
    """The same, with a word about it."""
    if swept := sweep(config):
        click.echo(f"The pool was killed.{_in_words(swept)}", err=True)


def _in_words(swept: int) -> str:
    return f" Removed {swept} sandbox{'' if swept == 1 else 'es'} that a killed pool had left." if swept else ""
