"""Read JSON that means one thing: RFC 8259 to the letter, no name given twice, no more structure than a request has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pydantic_core import from_json

from gateway.problems import Fault, Problem, invalid

#: Objects and arrays, and values, of one body. The richest request there can be has 1 005 and about 6 000. Bytes inside
#: strings are cheap; structure is not: 8 MiB of `[],` keep a parser, and with it everybody else, busy for a second.
_MAX_CONTAINERS = 4096
_MAX_VALUES = 32_768
#: A body smaller than this cannot hold structure for more than a few milliseconds, and is not counted.
_COUNTED_BYTES = 128 << 10
#: Names that one answer repeats.
_MAX_NAMED = 100

_Pairs = list[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Most:
    """How much structure a body may have."""

    containers: int = _MAX_CONTAINERS
    values: int = _MAX_VALUES


def parse(body: bytes, most: Most = Most()) -> object:
    """The value. A `Problem` that names the place where the body is no JSON, or gives a name twice in one object.

    NaN and Infinity, which JSON does not have, come out as such: no field takes them, and the field can be named then.
    """
    if len(body) > _COUNTED_BYTES:
        _refuse_crowds(body, most)
    try:
        # Two parsers: the first is strict in everything but names, the second shows the names as they were given. It
        # sees nothing that the first has not passed: UTF-8 without lone surrogates, at most 201 levels deep.
        value: object = from_json(body)
        _names_once.decode(body.decode())
    except _GivenTwice:
        raise invalid([Fault(field, "is given more than once") for field in _repeated_fields(body)]) from None
    except ValueError as error:
        raise Problem("invalid_json", f"the body of {len(body)} bytes is not UTF-8 JSON: {error}") from None
    return value


def _refuse_crowds(body: bytes, allowed: Most) -> None:
    # Without escaped quotes, what lies between strings is every second piece.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    strings = pieces.count(b'"') // 2
    structure = b"".join(pieces.split(b'"')[::2]) if strings <= 2 * allowed.values else b""
    for what, most, count in (
        ("strings", 2 * allowed.values, strings),
        ("objects and arrays", allowed.containers, structure.count(b"{") + structure.count(b"[")),
        ("values", allowed.values, structure.count(b",") + 1),
    ):
        if count > most:
            raise invalid([Fault("body", f"has {count} {what}; at most {most}")])


class _GivenTwice(Exception):
    pass


def _once(pairs: _Pairs) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _GivenTwice
    return members


_names_once = json.JSONDecoder(object_pairs_hook=_once)


def _repeated_fields(body: bytes) -> list[str]:
    """Where the repeated names are, such as `files[3].path`. What a later namesake replaced has no place any more."""
    repeated: dict[int, list[str]] = {}
    kept = []  # so that no two have the same id

    def members(pairs: _Pairs) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            kept.append(found)
            repeated[id(found)] = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        return found

    root = json.loads(body, object_pairs_hook=members)
    fields = (
        f"{path}.{name[:100]}".removeprefix(".") or "body"
        for path, names in _places(root, "", repeated)
        for name in names
    )
    return list(islice(fields, _MAX_NAMED))


def _places(value: object, path: str, repeated: dict[int, list[str]]) -> Iterator[tuple[str, list[str]]]:
    if id(value) in repeated:
        yield path, repeated[id(value)]
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _places(member, f"{path}.{name[:100]}", repeated)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}[{index}]", repeated)
