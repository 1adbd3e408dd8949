"""Write the log of a process: one record after the other as text for a person or as JSON lines for a program.

Whatever a record contains, a line of the log begins where Petri began one: control characters are escaped, and what
follows a line break in a text record is marked as its continuation.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from pool.events import values_of

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

#: Characters that a terminal or a reader of lines may act on: C0 and C1 but for the tab, Unicode's own line breaks, and
#: those that turn the direction of writing round, so that a line shows other than it is.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTINUED = "\n    | "
#: Values that need no quotes in text.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+")
#: Libraries that say much at the level at which we say what happens.
_TALKATIVE = ("httpx", "httpcore", "urllib3", "docker")


#: How a line begins that says what happens all the time, in either form.
_ROUTINE = re.compile(r'\S+Z [DI] |\{"time": "[^"]+", "level": "(?:debug|info)"')


def is_routine(line: str) -> bool:
    """Whether a line of a log is below a warning. Not so what others than Petri wrote there."""
    return _ROUTINE.match(line) is not None


def configure(form: Format = "text", level: Level = "info") -> None:
    """From now on, this process's log goes to standard error in this form."""
    handler = AfterThisTurn(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class AfterThisTurn(logging.StreamHandler[TextIO]):
    """Writes what goes as usual one turn of the event loop later: an answer that is ready does not wait for a disk.

    A warning, and whatever is said outside a loop, is written at once, and what waits before it. A process that is
    killed loses the lines of one turn.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._waiting.append(record)
        if loop is None or record.levelno >= logging.WARNING:
            self._write()
        elif len(self._waiting) == 1:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Also at the end of the process, by `logging.shutdown`."""
        self.acquire()
        try:
            self._write()
            super().flush()
        finally:
            self.release()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            super().emit(record)


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: no character of it needs care further on."""

    def format(self, record: logging.LogRecord) -> str:
        name, values = values_of(record)
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": name or "message",
        }
        line |= values if name else {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, allow_nan=False, default=repr)


class Text(logging.Formatter):
    """Time, level, logger and the rest, for a person."""

    def format(self, record: logging.LogRecord) -> str:
        name, values = values_of(record)
        if name:
            said = " ".join([name, *(f"{key}={_shown(value)}" for key, value in values.items())])
        else:
            said = record.getMessage()
        if record.exc_info:
            said += "\n" + self.formatException(record.exc_info)
        lines = _CONTINUED.join(escaped(line) for line in said.split("\n"))
        return f"{_time(record)} {record.levelname[:1]} {record.name}: {lines}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def escaped(text: str) -> str:
    """`text`, with nothing in it that a terminal would act on."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
