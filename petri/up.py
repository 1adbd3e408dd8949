"""`petri up`: pool and gateway as two processes, watched, until a signal or until one of them ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from petri import samples
from petri.client import Client, GatewayFault
from petri.config import Config
from pool import pool_lock

#: From start to every pool able to lease. Eight Python sandboxes boot in about 2 s; a cold disk or a slow engine takes
#: longer, and the progress line shows what is missing.
_READY_TIMEOUT_S = 120.0
#: Beyond the times that draining and closing are given, for the processes themselves to end.
_STOP_SLACK_S = 10.0
_LOOK_S = 0.05


class UpFault(Exception):
    """Petri could not be started or did not stay up; the message is for a person."""


class _Stop(Exception):
    """A signal asked for the end."""


def run(config: Config, arguments: list[str], *, show_samples: bool, once: bool) -> int:
    """Start, and serve until a signal, or with `once` until the samples have run. Returns the exit status.

    `arguments` go before the name of the service, so that it reads the same configuration.
    """
    _refuse_if_taken(config)
    _refuse_if_unfit(config)
    try:
        with pool_lock.held(config.up_lock), _signals(), _services(config, arguments) as services:
            return _serve(config, services, show_samples=show_samples, once=once)
    except pool_lock.PoolIsRunning as error:
        raise UpFault(f"{error}; `petri down` ends it") from error
    except _Stop:
        return 0


def _serve(config: Config, services: _Services, *, show_samples: bool, once: bool) -> int:
    with Client(config.gateway_url) as client:
        _wait_until_ready(config, services, client)
        right = True
        if show_samples or once:
            click.echo("One sample per language, each in a fresh sandbox:")
            right = samples.show(client, config.templates)
        if once:
            return 0 if right else 1
    click.echo(f"Petri serves at {config.gateway_url} (documentation: {config.gateway_url}/docs). Ctrl-C ends it.")
    services.wait_for_an_end()
    raise UpFault(services.obituary())


def detach(config: Config, arguments: list[str], *, show_samples: bool) -> int:
    """Start `petri up` in the background; return when it is ready. `down` ends it."""
    _refuse_if_taken(config)
    _refuse_if_unfit(config)
    config.logs.mkdir(parents=True, exist_ok=True)
    log = config.logs / f"petri-{config.pool.name}.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "petri", *arguments, "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    services = _Services({"petri up": up}, log)
    with Client(config.gateway_url) as client:
        try:
            _wait_until_ready(config, services, client)
        except BaseException:
            services.stop(_longest_stop_s(config))
            raise
        if show_samples:
            click.echo("One sample per language, each in a fresh sandbox:")
            if not samples.show(client, config.templates):
                services.stop(_longest_stop_s(config))
                return 1
    click.echo(f"Petri serves at {config.gateway_url}, pid {up.pid}, log {log}. `petri down` ends it.")
    return 0


def _refuse_if_taken(config: Config) -> None:
    """Before anything is started: a stranger on our port would be taken for our own gateway that is ready."""
    if pool_lock.is_held(config.up_lock):
        raise UpFault(
            f"{config.up_lock.stem} is running already (pid {pool_lock.owner(config.up_lock)}); `petri down` ends it"
        )
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


def down(config: Config) -> int:
    """End the `petri up` of this configuration and wait until nothing of it is left."""
    if not pool_lock.is_held(config.up_lock):
        click.echo("Petri is not up.")
        return 0
    pid = pool_lock.owner(config.up_lock)
    if pid is None:
        raise UpFault(f"{config.up_lock} names no process, though one holds it")
    click.echo(f"Ending petri up, pid {pid} …")
    os.kill(pid, signal.SIGTERM)
    give_up = time.monotonic() + 2 * _longest_stop_s(config)  # one process after the other
    while pool_lock.is_held(config.up_lock):
        if time.monotonic() > give_up:
            raise UpFault(f"pid {pid} has not ended; `kill -9 {pid}` ends it, the next start sweeps its containers")
        time.sleep(_LOOK_S)
    click.echo("Petri is down.")
    return 0


def _longest_stop_s(config: Config) -> float:
    """How long one of the processes may take to end before it is killed."""
    return max(config.pool.drain_s, config.gateway.drain_s) + config.pool.close_s + _STOP_SLACK_S


class _Services:
    """The processes that make up a running Petri."""

    def __init__(self, processes: dict[str, subprocess.Popen[bytes]], log: Path | None = None) -> None:
        self._processes = processes
        self._log = log

    def obituary(self) -> str:
        """Who has ended, or nothing."""
        ended = {name: process.poll() for name, process in self._processes.items() if process.poll() is not None}
        said = ", ".join(f"{name} ended with status {status}" for name, status in ended.items())
        if said and self._log is not None:
            tail = "\n".join(f"    {line}" for line in self._log.read_text(errors="replace").splitlines()[-15:])
            return f"{said}; the end of {self._log}:\n{tail}"
        return said

    def wait_for_an_end(self) -> None:
        while not self.obituary():
            time.sleep(_LOOK_S)

    def stop(self, longest_s: float) -> None:
        """In order: nobody new comes in, then every sandbox goes."""
        for name, process in reversed(self._processes.items()):
            if process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(longest_s)
            except subprocess.TimeoutExpired:
                click.echo(f"petri: {name} did not end within {longest_s:g} s, killing it", err=True)
                process.kill()
                process.wait()


@contextlib.contextmanager
def _services(config: Config, arguments: list[str]) -> Iterator[_Services]:
    """Pool and gateway, ended in this order's reverse however the block is left."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    services = _Services(processes)
    try:
        for name in ("pool", "gateway"):
            # Sessions of their own: Ctrl-C reaches this process alone, which then ends them in order.
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "petri", *arguments, name], stdin=subprocess.DEVNULL, start_new_session=True
            )
        yield services
    finally:
        with _deaf():
            services.stop(_longest_stop_s(config))


def _wait_until_ready(config: Config, services: _Services, client: Client) -> None:
    """Until every pool can lease; shows what is missing, on one line where there is a terminal."""
    started = time.monotonic()
    shown = ""
    while trouble := client.trouble():
        if obituary := services.obituary():
            raise UpFault(obituary)
        if time.monotonic() - started > _READY_TIMEOUT_S:
            raise UpFault(f"not ready after {_READY_TIMEOUT_S:g} s: {trouble}")
        if (progress := _progress(client)) != shown:
            shown = progress
            click.echo(f"\r\033[K{progress} …" if sys.stdout.isatty() else progress, nl=not sys.stdout.isatty())
        time.sleep(_LOOK_S)
    seconds = time.monotonic() - started
    clear = "\r\033[K" if sys.stdout.isatty() else ""
    click.echo(f"{clear}Ready after {seconds:.1f} s: {_progress(client)}")


def _progress(client: Client) -> str:
    try:
        pools = client.get("/v1/pools")["pools"]
    except GatewayFault:
        return "starting pool and gateway"
    return "warm sandboxes: " + ", ".join(f"{pool['template']} {pool['ready']}/{pool['target']}" for pool in pools)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGINT, SIGTERM and a closed terminal end the block by `_Stop`."""

    def stop(number: int, frame: object) -> None:
        raise _Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """While the services are being ended, another Ctrl-C must not leave them half-way."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    yield
