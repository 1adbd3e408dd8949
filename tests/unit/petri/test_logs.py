"""What the log looks like, what cannot be done to it, and that its page has every event and field."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.events
import pool.events
from petri import logs
from pool.events import Event

PAGE = (Path(__file__).parents[3] / "docs" / "logs.md").read_text()
THING = Event("thing", ("name", "seconds", "nothing"))


class Kept(logging.Handler):
    """Records as they would be written."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def logger(formatter: logging.Formatter) -> tuple[logging.Logger, Kept]:
    kept = Kept(formatter)
    own = logging.Logger("pool.test", logging.INFO)
    own.addHandler(kept)
    return own, kept


def test_the_page_has_every_event_and_every_field_and_no_other():
    part = re.search(r"<!-- events: .*? -->\n(.*?)<!-- end of events -->", PAGE, re.DOTALL)
    assert part is not None
    documented = {}
    for section in part[1].split("\n## ")[0:]:
        name = re.match(r"(?:## )?`(\w+)`", section)
        assert name is not None, section
        documented[name[1]] = tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert documented == {event.name: event.fields for event in (*pool.events.EVENTS, *gateway.events.EVENTS)}


def test_no_field_takes_the_place_of_what_every_line_has():
    for event in (*pool.events.EVENTS, *gateway.events.EVENTS):
        assert not {"time", "level", "logger", "event", "message", "exception"} & set(event.fields)


def test_an_event_is_one_json_object():
    own, kept = logger(logs.JsonLines())
    THING.log(own, name="sb_1", seconds=0.25, nothing=None)
    line = json.loads(kept.lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "pool.test",
        "event": "thing",
        "name": "sb_1",
        "seconds": 0.25,
        "nothing": None,
    }


def test_an_event_is_one_line_of_text():
    own, kept = logger(logs.Text())
    THING.log(own, name="not one word", seconds=0.25, nothing=None)
    assert kept.lines[0].endswith('Z I pool.test: thing name="not one word" seconds=0.25 nothing=-')


def test_an_event_without_one_of_its_fields_is_a_bug():
    own, _ = logger(logs.Text())
    with pytest.raises(AssertionError, match="thing has"):
        THING.log(own, name="x", seconds=1.0)


def test_below_its_level_an_event_costs_no_record():
    own, kept = logger(logs.Text())
    Event("quiet", ("name",), logging.DEBUG).log(own, name="x")
    assert kept.lines == []


def test_a_message_and_its_traceback_are_one_record():
    for formatter in (logs.JsonLines(), logs.Text()):
        own, kept = logger(formatter)
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            own.exception("it %s", "failed")
        assert "it failed" in kept.lines[0]
        assert "Traceback" in kept.lines[0]
    first, *rest = kept.lines[0].split("\n")
    assert first.endswith("E pool.test: it failed")
    assert rest
    assert all(line.startswith("    | ") for line in rest)


_FORGED = "x\r\n2026-01-31T00:00:00.000Z E pool: all is lost\x1b[2J\u2028\x85\u202e\x00"


@given(st.text(max_size=50) | st.just(_FORGED))
def test_no_value_begins_a_line_or_moves_a_cursor(value: str):
    for formatter in (logs.Text(), logs.JsonLines()):
        own, kept = logger(formatter)
        THING.log(own, name=value, seconds=0.0, nothing=None)
        own.warning("said: %s", value)
        own.warning("%r", value)
        for text in kept.lines:
            for at, line in enumerate(text.splitlines()):
                assert at == 0 or line.startswith("    | "), text
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
    assert len(text.splitlines()) == 1  # JSON never goes on in a second line


def test_both_processes_write_as_their_settings_say(tmp_path: Path):
    """The gateway, which needs no engine to speak, and the pool, which says that it has none."""
    for service, more in (("gateway", {"PETRI_GATEWAY_PORT": "0"}), ("pool", {})):
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PETRI_RUN_DIR": str(tmp_path),
            "PETRI_STATE_DIR": str(tmp_path),
            "PETRI_POOL_DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
            f"PETRI_{service.upper()}_LOG_FORMAT": "json",
            f"PETRI_{service.upper()}_LOG_LEVEL": "warning",
            **more,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "petri", service], env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        try:
            line = json.loads(process.stderr.readline())
        finally:
            process.kill()
            process.communicate()
        assert (line["event"], line["level"]) == ("message", "warning"), line
        assert "no " in line["message"]  # no engine yet; no pool daemon


@pytest.mark.parametrize("form", [logs.JsonLines(), logs.Text()])
def test_what_goes_as_usual_is_told_from_what_a_person_must_read(form: logging.Formatter) -> None:
    def line(level: int) -> str:
        return form.format(logging.LogRecord("pool", level, "", 0, "said", None, None)).splitlines()[0]

    assert [logs.is_routine(line(level)) for level in (logging.DEBUG, logging.INFO)] == [True, True]
    assert [logs.is_routine(line(level)) for level in (logging.WARNING, logging.ERROR)] == [False, False]
    assert not logs.is_routine("Traceback (most recent call last):")
    assert not logs.is_routine("    | template odd: mounts: /data (rw)")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what the services run on
async def test_what_goes_as_usual_is_written_after_this_turn_and_a_warning_at_once_and_in_order() -> None:
    stream = io.StringIO()
    handler = logs.AfterThisTurn(stream)
    log = logging.Logger("pool")
    log.addHandler(handler)
    log.info("leased")
    assert stream.getvalue() == "", "the answer is not out yet"
    await asyncio.sleep(0)
    assert stream.getvalue() == "leased\n"
    log.info("doomed")
    log.warning("trouble")
    assert stream.getvalue() == "leased\ndoomed\ntrouble\n"
    log.info("last")
    handler.close()
    handler.flush()
    assert stream.getvalue().endswith("last\n")
    await asyncio.to_thread(log.info, "outside the loop")
    assert stream.getvalue().endswith("outside the loop\n")
