"""`petri`: start the services, build the images, look after the host, run a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway.settings import GatewaySettings
from petri import lifeline, logs
from petri.config import Config, ConfigFault, in_force, load
from pool import process_lock
from pool.settings import PoolSettings

_STATUS_WRONG_CONFIG = 2
_STATUS_NO_ENGINE = 3


class _Context:
    """The configuration, read when a command first needs it: `petri run --help` works with a broken one."""

    def __init__(self, path: Path | None, *, verbose: bool) -> None:
        self._path = path
        self._verbose = verbose

    def log_as(self, settings: PoolSettings | GatewaySettings) -> None:
        """From now on, this process's log is written as its settings say; --verbose goes before them."""
        logs.configure(settings.log_format, "debug" if self._verbose else settings.log_level)

    @property
    def config(self) -> Config:
        try:
            return load(self._path)
        except ConfigFault as fault:
            for line in fault.faults:
                click.echo(f"petri: {line}", err=True)
            sys.exit(_STATUS_WRONG_CONFIG)

    @property
    def arguments(self) -> list[str]:
        """What a child `petri` needs to read the same configuration."""
        return [*(["--config", str(self._path)] if self._path else []), *(["--verbose"] if self._verbose else [])]


_pass = click.make_pass_decorator(_Context)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
_end_with_starter = click.option("--end-with-starter", is_flag=True, help="End when standard input does.")
_url = click.option(
    "--url", metavar="URL", help="The gateway; default: PETRI_URL, else where `petri up` serves, else as configured."
)


def _fail(message: object, status: int = 1) -> NoReturn:
    click.echo(f"petri: {message}", err=True)
    sys.exit(status)


def _cause(error: BaseException) -> str:
    """The system's own words, if there are any under those of the libraries."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return str(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="petri")
@click.option("--config", type=click.Path(path_type=Path), help="Default: PETRI_CONFIG, ./petri.toml, /etc/petri.")
@click.option("--verbose", is_flag=True, help="Log everything, whatever log_level says.")
@click.pass_context
def main(context: click.Context, config: Path | None, verbose: bool) -> None:
    """Petri runs code that nobody has read yet, each time in a container of its own.

    \b
    Begin with:   petri doctor         is this machine fit?
                  petri images build   what sandboxes are made of
                  petri up             pool and gateway
                  petri run hello.py
    """
    logs.configure(level="debug" if verbose else "info")
    context.obj = _Context(config, verbose=verbose)


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Instead of the gateway's configured one; 0: any free one."
)
@click.option("--samples", is_flag=True, help="When ready, run a small program per language.")
@click.option("--once", is_flag=True, help="End after the samples; status 0 if all were right.")
@click.option("--detach", is_flag=True, help="Return when ready; `petri down` ends it.")
@_pass
def up(context: _Context, port: int | None, samples: bool, once: bool, detach: bool) -> None:
    """Start pool and gateway, and serve until Ctrl-C."""
    from petri import up as running
    from petri.address import free_port

    if once and detach:
        raise click.UsageError("--once ends at once, --detach stays: choose one")
    if port is None:
        port = context.config.gateway.port
    # For this process and the services it starts.
    os.environ["PETRI_GATEWAY_PORT"] = str(port or free_port(context.config.gateway.host))
    try:
        if detach:
            sys.exit(running.detach(context.config, context.arguments, show_samples=samples))
        sys.exit(running.run(context.config, context.arguments, show_samples=samples, once=once))
    except running.UpFault as fault:
        _fail(fault)


@main.command()
@_pass
def down(context: _Context) -> None:
    """End what `petri up` started, and wait until it is gone."""
    from petri.down import DownFault
    from petri.down import down as end

    try:
        sys.exit(end(context.config))
    except DownFault as fault:
        _fail(fault)


@main.command()
@_end_with_starter
@_pass
def pool(context: _Context, end_with_starter: bool) -> None:
    """Serve as the pool daemon: the one that holds the engine."""
    from petri import pool_service

    if end_with_starter:
        lifeline.end_with_the_starter()
    context.log_as(context.config.pool)
    sys.exit(pool_service.run(context.config))


@main.command()
@_end_with_starter
@_pass
def gateway(context: _Context, end_with_starter: bool) -> None:
    """Serve as the gateway: HTTP, without privileges."""
    from gateway.serve import serve

    config = context.config
    context.log_as(config.gateway)
    if not end_with_starter:
        sys.exit(serve(config.gateway, config.templates))
    lifeline.end_with_the_starter()
    try:
        with process_lock.held(config.gateway_lock, config.gateway_url):
            sys.exit(serve(config.gateway, config.templates))
    except process_lock.Held as error:
        _fail(error)


@main.command()
@click.option("--strict", is_flag=True, help="Judge for hostile code: what production mode would refuse is bad.")
@_json
@_pass
def doctor(context: _Context, strict: bool, as_json: bool) -> None:
    """Check this machine, and say what to do about what is not well. Status 1 if anything is bad.

    What is bad for hostile code only is a warning unless --strict is given or pool.production is set.
    """
    from petri.doctor import examine, summary

    findings = examine(context.config, strict=strict)
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(finding.as_text())
        click.echo(summary(findings))
    sys.exit(any(finding.is_bad for finding in findings))


@main.command()
@click.option("--template", "names", multiple=True, metavar="NAME", help="Only this one; may be given more than once.")
@click.option("--text", is_flag=True, help="For a person: what is wrong, and how much was looked at.")
@_pass
def selfcheck(context: _Context, names: tuple[str, ...], text: bool) -> None:
    """Boot a sandbox of each template, look at its walls from inside, and print every probe as JSON.

    Needs the engine, and no running Petri. Status 1 if a wall does not stand, 3 if no engine answers.
    """
    from petri.selfcheck import by_hand
    from pool.engine import EngineError
    from pool.process_lock import Held
    from pool.uid_block import NoBlockIsFree

    config = context.config
    known = {template.name: template for template in config.templates}
    if unknown := set(names) - known.keys():
        raise click.BadParameter(f"no template {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    try:
        reports = by_hand.run(config, [known[name] for name in dict.fromkeys(names)] or list(config.templates))
    except EngineError as error:
        _fail(error, _STATUS_NO_ENGINE)
    except (Held, NoBlockIsFree, OSError) as error:
        _fail(error)
    if text:
        click.echo("\n".join(report.as_text() for report in reports))
    else:
        click.echo(json.dumps([report.as_json() for report in reports], indent=2))
    sys.exit(not all(report.ok for report in reports))


@main.group()
def images() -> None:
    """What sandboxes are made of."""


@images.command("build")
@click.argument("languages", nargs=-1, metavar="[python|node|go]…")
@click.option("--force", is_flag=True, help="Build anew what is up to date, too.")
@click.option(
    "--base",
    type=click.Choice(["auto", "official", "local"]),
    default="auto",
    envvar="PETRI_BASE",
    show_default=True,
    show_envvar=True,
    help="The official image, or one made here from the distribution's packages; auto: official if a registry answers.",
)
@_pass
def build(context: _Context, languages: tuple[str, ...], force: bool, base: str) -> None:
    """Build the images that are missing or outdated."""
    import docker

    from runners.images import LANGUAGES, BuildError, build_images, console

    config = context.config
    try:
        client = docker.DockerClient(base_url=config.pool.docker_host) if config.pool.docker_host else docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        address = config.pool.docker_host or os.environ.get("DOCKER_HOST") or "its usual socket"
        message = f"no container engine answers at {address} ({_cause(error)}); `scripts/engine` sets one up"
        _fail(message, _STATUS_NO_ENGINE)
    try:
        build_images(
            client,
            languages or LANGUAGES,
            state_dir=config.state_dir,
            report=console(sys.stderr),
            force=force,
            base=base,
        )
    except BuildError as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("interrupted; what was built so far stays", 130)


@main.command(context_settings={"allow_interspersed_args": False})
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--language", help="Name of a template; default: by the file's extension.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Wall clock of the run; default: the template's.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="For the program; may be given more than once.")
@click.option("--with", "beside", multiple=True, type=click.Path(path_type=Path), help="A file to lie beside it.")
@click.option("--timings", is_flag=True, help="Say on standard error where the time went.")
@_json
@_url
@_pass
def run(
    context: _Context, /, file: Path, args: tuple[str, ...], as_json: bool, url: str | None, **options: Any
) -> None:
    """Run FILE (- for standard input) in a fresh sandbox, and exit as it did.

    Options come before FILE: whatever follows it goes to the program.

    Standard input goes to the program unless FILE is -. Status 124: timed out; 125: Petri's fault; 128 + n: signal n.
    """
    from petri.address import of_gateway
    from petri.client import GatewayFault
    from petri.run import RunFault, run_file

    try:
        sys.exit(run_file(of_gateway(url, lambda: context.config), file, args, as_json=as_json, **options))
    except (RunFault, GatewayFault) as fault:
        _fail(fault, 125)


@main.command()
@_json
@_url
@_pass
def ps(context: _Context, as_json: bool, url: str | None) -> None:
    """Show pools and sandboxes of a running gateway."""
    from petri.address import of_gateway
    from petri.client import Client, GatewayFault
    from petri.ps import show

    try:
        with Client(of_gateway(url, lambda: context.config)) as client:
            show(client, as_json=as_json)
    except GatewayFault as fault:
        _fail(fault)


@main.command()
@click.option("--once", is_flag=True, help="Print one frame, and end.")
@_url
@_pass
def top(context: _Context, once: bool, url: str | None) -> None:
    """Watch pools, leases, queues and runs of a running gateway; q or Ctrl-C quits."""
    from petri.address import of_gateway
    from petri.client import Client, GatewayFault
    from petri.top import show

    try:
        with Client(of_gateway(url, lambda: context.config)) as client:
            show(client, once=once)
    except GatewayFault as fault:
        _fail(fault)


@main.command("config")
@_pass
def show_config(context: _Context) -> None:
    """Show every setting: key, value in force, variable, meaning."""
    config = context.config
    click.echo(f"from {config.source or 'the defaults'}; state in {config.state_dir}, sockets in {config.run_dir}\n")
    rows = [
        (key, value if isinstance(value, str) and value else json.dumps(value), variable, meaning)
        for key, value, variable, meaning in in_force(config)
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for *cells, meaning in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), meaning]))


if __name__ == "__main__":
    main(prog_name="petri")
