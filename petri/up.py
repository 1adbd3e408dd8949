"""`petri up`: pool and gateway as two processes, watched, until a signal or until one of them ends."""

from __future__ import annotations

import socket

import click

from petri import readiness, samples, stop_signals
from petri.client import Client
from petri.config import Config
from petri.down import longest_stop_of_up_s, longest_stop_s, sweep_after_a_kill
from petri.services import Services
from pool import process_lock

#: Of what was asked to end before it had done what it was for. As shells have it for SIGINT.
_STATUS_INTERRUPTED = 130


class UpFault(Exception):
    """Petri could not be started or did not stay up; the message is for a person."""


def run(config: Config, arguments: list[str], *, show_samples: bool, once: bool) -> int:
    """Start, and serve until a signal, or with `once` until the samples have run. Returns the exit status.

    `arguments` go before the name of the service, so that it reads the same configuration.
    """
    _refuse_if_taken(config)
    _refuse_if_unfit(config)
    started = Services()
    try:
        with process_lock.held(config.up_lock, config.gateway_url), stop_signals.raising():
            try:
                with started.running(arguments, longest_stop_s(config)):
                    return _serve(config, started, show_samples=show_samples, once=once)
            finally:
                if (started.status("pool") or 0) < 0:
                    sweep_after_a_kill(config)
    except process_lock.Held as error:
        raise UpFault(f"{error}; `petri down` ends it") from error
    except stop_signals.Stop:
        return _STATUS_INTERRUPTED if once else 0


def _serve(config: Config, started: Services, *, show_samples: bool, once: bool) -> int:
    with Client(config.gateway_url) as client:
        _wait_until_ready(started, client, config)
        if process_lock.owner(config.pool_lock) != started.pid("pool"):
            started.wait_for_an_end()  # ours meets the other's lock, and says so
            raise UpFault(f"the pool that answers is another one: {started.obituary()}")
        right = True
        if show_samples or once:
            click.echo("One sample per language, each in a fresh sandbox:")
            right = samples.show(client, config.templates)
        if once:
            return 0 if right else 1
    click.echo(f"Petri serves at {config.gateway_url} (documentation: {config.gateway_url}/docs). Ctrl-C ends it.")
    started.wait_for_an_end()
    raise UpFault(started.obituary())


def detach(config: Config, arguments: list[str], *, show_samples: bool) -> int:
    """Start `petri up` in the background; return when it is ready. `down` ends it."""
    _refuse_if_taken(config)
    _refuse_if_unfit(config)
    config.logs.mkdir(parents=True, exist_ok=True)
    log = config.logs / f"petri-{config.pool.name}.log"
    up = Services(log)
    with stop_signals.raising():
        try:
            with log.open("w") as output:
                pid = up.start("petri up", [*arguments, "up"], output=output.fileno(), lifeline=False)
            with Client(config.gateway_url) as client:
                _wait_until_ready(up, client, config)
                if show_samples:
                    click.echo("One sample per language, each in a fresh sandbox:")
                    if not samples.show(client, config.templates):
                        raise UpFault("a sample came out wrong")
        except BaseException as error:
            stop_signals.ignore_from_now_on(longest_stop_of_up_s(config))
            up.stop(longest_stop_of_up_s(config))
            if isinstance(error, stop_signals.Stop):
                return _STATUS_INTERRUPTED
            raise
    click.echo(f"Petri serves at {config.gateway_url}, pid {pid}, log {log}. `petri down` ends it.")
    return 0


def _refuse_if_taken(config: Config) -> None:
    """Before anything is started: a stranger on our port would be taken for our own gateway that is ready."""
    for lock in (config.up_lock, config.pool_lock, config.gateway_lock):
        if process_lock.is_held(lock):
            raise UpFault(f"{process_lock.holder(lock)}; `petri down` ends it")
    family = socket.AF_INET6 if ":" in config.gateway.host else socket.AF_INET
    try:
        socket.create_server((config.gateway.host, config.gateway.port), family=family).close()
    except OSError as error:
        where = f"{config.gateway.host} port {config.gateway.port}"
        raise UpFault(f"cannot listen on {where}: {error.strerror}; --port chooses another") from error


def _refuse_if_unfit(config: Config) -> None:
    """Said here, where a person reads it; the pool itself refuses as well."""
    if config.pool.production:
        from petri.doctor import refusal  # with the whole of the engine's client, which nothing else here needs

        if reason := refusal(config):
            raise UpFault(reason)


def _wait_until_ready(started: Services, client: Client, config: Config) -> None:
    try:
        readiness.wait(started, client, config)
    except readiness.NotReady as error:
        raise UpFault(str(error)) from error
