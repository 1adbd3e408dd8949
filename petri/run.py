"""`petri run FILE`: one file, one fresh sandbox, and this process ends as the program did."""

from __future__ import annotations

import base64
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_json

from petri.client import Client
from petri.timings import table

_LANGUAGES = {".py": "python", ".js": "node", ".mjs": "node", ".cjs": "node", ".go": "go"}
#: As timeout(1) has it.
_STATUS_TIMED_OUT = 124
_STATUS_SIGNAL = 128


class RunFault(Exception):
    """The run could not be asked for; the message is for a person."""


def run_file(
    url: str,
    file: Path,
    args: Sequence[str],
    *,
    language: str | None,
    timeout: float | None,
    env: Sequence[str],
    beside: Sequence[Path],
    timings: bool,
    as_json: bool,
) -> int:
    """Run it and print what it printed; returns the exit status for this process."""
    from_stdin = str(file) == "-"
    chosen = language or _LANGUAGES.get(file.suffix)
    if chosen is None:
        raise RunFault(f"{file}: no language has the extension {file.suffix or '(none)'}; name one with --language")
    request: dict[str, Any] = {
        "language": chosen,
        "code": _standard_input() if from_stdin else _text(file),
        "args": list(args),
        "env": dict(_pair(one) for one in env),
        "files": [_file(path) for path in beside],
        "output_encoding": "base64",
    }
    if not from_stdin and not sys.stdin.isatty():
        request["stdin"] = _standard_input()
    if timeout is not None:
        request["timeout_s"] = timeout
    with Client(url) as client:
        answer, server_timing = client.run(request)
    stdout, stderr = base64.b64decode(answer["stdout"]), base64.b64decode(answer["stderr"])
    if as_json:
        for name in ("stdout", "stderr", "output"):
            answer[name] = base64.b64decode(answer[name]).decode(errors="replace")
        click.echo(to_json(answer, indent=2))
    else:
        sys.stdout.buffer.write(stdout)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(stderr)
        sys.stderr.buffer.flush()
        if answer["status"] not in ("succeeded", "failed"):
            click.echo(f"petri: {answer['status']}: {(answer['error'] or {}).get('message', '')}", err=True)
    if timings:
        click.echo(f"petri: {answer['run_id']} in {answer['sandbox_id']}", err=True)
        for line in table(server_timing):
            click.echo(line, err=True)
    return _status(answer)


def _status(answer: dict[str, Any]) -> int:
    if answer["status"] == "timed_out":
        return _STATUS_TIMED_OUT
    if answer["signal"] is not None:
        return _STATUS_SIGNAL + _number(answer["signal"])
    return int(answer["exit_code"])


def _number(name: str) -> int:
    """Of a signal; a real-time signal is called SIGRTMIN+n."""
    base, _, above = name.partition("+")
    return signal.Signals[base] + int(above or 0)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise RunFault(f"standard input: not UTF-8: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunFault(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunFault(f"{path}: not UTF-8: {error}") from error


def _file(path: Path) -> dict[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFault(f"{path}: {error.strerror}") from error
    return {"path": path.name, "content": base64.b64encode(content).decode(), "encoding": "base64"}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RunFault(f"--env {text!r}: must be NAME=VALUE")
    return name, value
