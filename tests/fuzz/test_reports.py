"""The JSON of a hostile agent: a report within its bounds, or one error; and nothing in it that harms a reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from runners.messages import AgentError, Entry, Exit, Hello, parse
from runners.wire import Frame, Kind, RunnerProtocolError
from tests.fuzz.budget import examples

_NUMBERS = (
    st.integers(-(10**25), 10**25) | st.integers(-2, 300) | st.floats() | st.sampled_from([1 << 63, 9 * 10**4299])
)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def nearly(model: type[BaseModel], **lawful: object) -> st.SearchStrategy[bytes]:
    """Bytes that are this report but for a member or two, and now and then but for a byte."""
    changed = st.dictionaries(st.sampled_from([*model.model_fields, "tomorrow"]), _JSON, max_size=2)
    whole = changed.map(lambda members: json.dumps(lawful | members).encode())
    return whole | st.builds(
        lambda text, at, byte: text[: at % len(text)] + byte + text[at % len(text) + 1 :],
        whole,
        st.integers(0, 1000),
        st.binary(max_size=2),
    )


REPORTS: dict[type[BaseModel], st.SearchStrategy[bytes]] = {
    Exit: nearly(Exit, exit_code=0, signal=None, duration_us=1),
    Hello: nearly(Hello, protocol=1, agent="x", language="python", language_version="3"),
    AgentError: nearly(AgentError, code="busy", message="no"),
    Entry: nearly(Entry, name="a", path="a", type="file", size=1, mode=0o644, mtime=1.5),
}


@pytest.mark.parametrize("model", REPORTS, ids=lambda model: model.__name__)
def test_a_report_is_within_its_bounds_or_one_error(model: type[BaseModel]) -> None:
    @examples(150)
    @given(REPORTS[model] | st.binary(max_size=60))
    def look(payload: bytes) -> None:
        try:
            report = parse(model, Frame(Kind.DONE, 1, payload))
        except RunnerProtocolError as error:
            assert len(str(error)) < 300
            assert str(error).isprintable()
            return
        for name, value in report:
            if isinstance(value, int):
                assert 0 <= value < 1 << 63, (name, value)
            elif isinstance(value, float):
                assert abs(value) < float("inf"), (name, value)
            elif isinstance(value, str):
                assert len(value) <= 4096, name
                assert value.isprintable() or model is Entry, (name, value)  # a file may have any name
        json.dumps(report.model_dump(), allow_nan=False).encode()

    look()


@examples(150)
@given(REPORTS[Exit])
def test_an_exit_has_one_ending_of_those_there_are(payload: bytes) -> None:
    try:
        report = parse(Exit, Frame(Kind.EXIT, 1, payload))
    except RunnerProtocolError:
        return
    if report.signal is None:
        assert report.exit_code is not None
        assert 0 <= report.exit_code <= 255
    else:
        assert report.exit_code is None
        assert 1 <= report.signal <= 64


def test_what_an_agent_says_cannot_write_lines_or_colours_into_a_log() -> None:
    said = "no\nWARNING all is well\r\x1b[2J\u202e\u2028\x00\x7f\x9b é"
    error = parse(AgentError, Frame(Kind.ERROR, 1, json.dumps({"code": "a\nb", "message": said}).encode()))
    assert error.code == "a\N{REPLACEMENT CHARACTER}b"
    assert error.message.isprintable()
    assert error.message.endswith(" é")
