"""What is read as JSON is what was written, once; what is all structure is not read at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.strict_json import parse

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.booleans())
def test_json_is_read_as_it_was_written(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\ua1-.eEnt ', max_size=40).map(str.encode))
def test_garbage_is_a_problem_and_nothing_else(body: bytes) -> None:
    try:
        value = parse(body)
    except Problem as problem:
        assert problem.code in ("invalid_json", "invalid_request")
    else:
        assert json.dumps(json.loads(body)) == json.dumps(value)


def fields(body: str) -> list[str]:
    with pytest.raises(Problem) as raised:
        parse(body.encode())
    assert raised.value.code == "invalid_request"
    return [fault.field for fault in raised.value.faults]


def test_every_name_that_is_given_twice_is_named_with_its_place() -> None:
    assert fields('{"a": 1, "a": 2}') == ["a"]
    assert fields('{"a": {"b": [0, {"c": 1, "d": 2, "c": 3, "c": 4}]}, "e": 0, "e": 0}') == ["e", "a.b[1].c"]
    assert fields('[{"a": 1}, {"a": 1, "a": 1}]') == ["[1].a"]
    assert fields('{"": 1, "": 1}') == ["body"]
    # In a value that was itself replaced nothing can be named; what replaced it is.
    assert fields('{"a": {"b": 1, "b": 1}, "a": {}}') == ["a"]
    assert parse(b'{"a": {"a": 1}, "A": [{"a": 1}, {"a": 1}]}') == {"a": {"a": 1}, "A": [{"a": 1}, {"a": 1}]}


def test_a_thousand_names_given_twice_make_a_short_answer() -> None:
    body = "{" + ",".join(f'"k{n % 1000}{"x" * 200}": 0' for n in range(2000)) + "}"
    assert len(fields(body)) == 100
    assert all(len(field) == 100 for field in fields(body))


_LARGE = 8 << 20


@pytest.mark.parametrize(
    "unit",
    [b"[],", b"{},", b"0,", b'"",', b'"a":0,', b'"\\"",', b'"\\\\","\\\\",', b"[[", b'""""', b'"[",[', b"tru,"],
)
def test_a_body_that_is_all_structure_is_not_parsed(unit: bytes) -> None:
    """Parsed it would hold everybody up for a second; so it is counted first, which takes no parser."""
    body = b"[" + unit * (_LARGE // len(unit)) + b"0]"
    with pytest.raises(Problem, match=r"body: has [0-9]+ (values|strings|objects and arrays); at most"):
        parse(body)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{" * 1_000_000,
        "," * 1_000_000,
        '"' * 1_000_000,
        '\\"' * 1_000_000,
        '"\\' * 1_000_000,
        "\\" * 1_000_001,
        'x = {"a": [1, 2]}\n' * 60_000,
    ],
)
def test_what_lies_in_a_string_is_no_structure(text: str) -> None:
    body = json.dumps({"code": text, "stdin": text}).encode()
    assert parse(body) == {"code": text, "stdin": text}
