"""Every bad request gets its status and code, with each fault named, before any sandbox is leased."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from _pytest.mark import ParameterSet

from gateway.settings import GatewaySettings
from tests.gateway.served import PYTHON, Served, serving

RUN: dict[str, object] = {"language": "python", "code": "print 1"}
B64 = "base64"


def file(path: object, content: object = "x", **members: object) -> dict[str, object]:
    return {"path": path, "content": content, **members}


#: Members that replace those of a good run, and the fields that the answer must name: these and no others.
RUN_FAULTS: list[tuple[dict[str, object], set[str]]] = [
    ({"code": ""}, {"code"}),
    ({"code": None}, {"code"}),
    ({"code": 5}, {"code"}),
    ({"code": ["print 1"]}, {"code"}),
    ({"language": 5}, {"language"}),
    ({"language": ""}, {"language"}),
    ({"language": "x" * 64}, {"language"}),
    ({"lang": "python"}, {"lang"}),
    ({"command": "ls"}, {"command"}),
    ({"stdin": 1}, {"stdin"}),
    ({"stdin": None}, {"stdin"}),
    ({"timeout_s": -1}, {"timeout_s"}),
    ({"timeout_s": 0}, {"timeout_s"}),
    ({"timeout_s": float("nan")}, {"timeout_s"}),
    ({"timeout_s": float("inf")}, {"timeout_s"}),
    ({"timeout_s": float("-inf")}, {"timeout_s"}),
    ({"timeout_s": 60.001}, {"timeout_s"}),
    ({"timeout_s": 10**400}, {"timeout_s"}),
    ({"timeout_s": "5"}, {"timeout_s"}),
    ({"timeout_s": True}, {"timeout_s"}),
    ({"output_encoding": "latin-1"}, {"output_encoding"}),
    ({"args": "x"}, {"args"}),
    ({"args": ["ok", 5, "a\0b"]}, {"args[1]", "args[2]"}),
    ({"args": ["x"] * 1025}, {"args"}),
    ({"args": ["x" * (121 << 10)]}, {"args"}),
    ({"args": ["é" * (61 << 10)]}, {"args"}),
    ({"env": ["K=V"]}, {"env"}),
    ({"env": {"K": 5, "": "v", "A=B": "v", "N\0": "v", "V": "\0"}}, {"env.K", "env", "env.A=B", "env.N\0", "env.V"}),
    ({"env": {f"K{n}": "v" for n in range(1025)}}, {"env"}),
    ({"env": {"K": "v" * (121 << 10)}}, {"env"}),
    ({"metadata": "x"}, {"metadata"}),
    ({"metadata": {"k": 5}}, {"metadata.k"}),
    ({"metadata": {"k": "v" * 1025}}, {"metadata.k"}),
    ({"metadata": {f"k{n}": "v" for n in range(65)}}, {"metadata"}),
    ({"files": {"a": "b"}}, {"files"}),
    ({"files": ["a"]}, {"files[0]"}),
    ({"files": [{"path": "a"}]}, {"files[0].content"}),
    ({"files": [{"content": "a"}]}, {"files[0].path"}),
    ({"files": [file("a", mode=420)]}, {"files[0].mode"}),
    ({"files": [file("a", 5)]}, {"files[0].content"}),
    ({"files": [file("a", encoding="hex")]}, {"files[0].encoding"}),
    ({"files": [file("a", "eA=", encoding=B64)]}, {"files[0].content"}),
    ({"files": [file("a", "e A==", encoding=B64)]}, {"files[0].content"}),
    ({"files": [file("a", "eA==eA==", encoding=B64)]}, {"files[0].content"}),
    ({"files": [file("a", "ü", encoding=B64)]}, {"files[0].content"}),
    ({"files": [file("/etc/passwd")]}, {"files[0].path"}),
    ({"files": [file("../x")]}, {"files[0].path"}),
    ({"files": [file("a/../../x")]}, {"files[0].path"}),
    ({"files": [file("a/..")]}, {"files[0].path"}),
    ({"files": [file("")]}, {"files[0].path"}),
    ({"files": [file(".")]}, {"files[0].path"}),
    ({"files": [file("./a")]}, {"files[0].path"}),
    ({"files": [file("a//b")]}, {"files[0].path"}),
    ({"files": [file("a/")]}, {"files[0].path"}),
    ({"files": [file("a\0b")]}, {"files[0].path"}),
    ({"files": [file("x" * 256)]}, {"files[0].path"}),
    ({"files": [file("é" * 128)]}, {"files[0].path"}),
    ({"files": [file("/".join(["x" * 200] * 21))]}, {"files[0].path"}),
    ({"files": [file("/".join(["x"] * 33))]}, {"files[0].path"}),
    ({"files": [file("main.py")]}, {"files[0].path"}),
    ({"files": [file("main.py/x")]}, {"files[0].path"}),
    ({"files": [file("ok"), file("a"), file("a")]}, {"files[2].path"}),
    ({"files": [file("a/b"), file("a")]}, {"files[1].path"}),
    ({"files": [file("a/b/c"), file("a/b")]}, {"files[1].path"}),
    ({"files": [file(f"f{n}") for n in range(1001)]}, {"files"}),
    ({"files": [file("big", "x" * (1 << 20))]}, {"files"}),
    ({"code": "x" * ((1 << 20) + 1)}, {"code"}),
    # Every fault at once, of every kind: form, unknown members, limits of the template, fields together.
    (
        {
            "language": "cobol",
            "code": "",
            "timeout_s": -1,
            "stdn": "x",
            "args": [1],
            "files": [file("../x"), file("b", "?", encoding=B64), file("c"), file("c")],
        },
        {"language", "code", "timeout_s", "stdn", "args[0]", "files[0].path", "files[1].content", "files[3].path"},
    ),
    ({"timeout_s": 1e9, "stdn": "x", "files": [file("main.py")]}, {"timeout_s", "stdn", "files[0].path"}),
]

EXEC_FAULTS: list[tuple[dict[str, object], set[str]]] = [
    ({}, {"code"}),
    ({"code": "print 1", "command": "ls"}, {"code", "command"}),
    ({"code": "print 1", "command": "ls", "argv": ["ls"]}, {"code", "command", "argv"}),
    ({"code": ""}, {"code"}),
    ({"command": ""}, {"command"}),
    ({"command": "a\0b"}, {"command"}),
    ({"command": "x" * (121 << 10)}, {"args"}),
    ({"argv": []}, {"argv"}),
    ({"argv": ["ls", "\0"]}, {"argv[1]"}),
    ({"argv": "ls"}, {"argv"}),
    ({"command": "ls", "cwd": "/tmp"}, {"cwd"}),
    ({"command": "ls", "cwd": "../x"}, {"cwd"}),
    ({"command": "ls", "language": "python"}, {"language"}),
    ({"command": "ls", "timeout_s": 61}, {"timeout_s"}),
    ({"code": "print 1", "files": [file("main.py")]}, {"files[0].path"}),
    ({"code": "", "argv": ["ls"], "timeout_s": 0, "x": 1}, {"code", "argv", "timeout_s", "x"}),
]

SANDBOX_FAULTS: list[tuple[dict[str, object], set[str]]] = [
    ({}, {"language"}),
    ({"language": "python", "code": "print 1"}, {"code"}),
    ({"language": "python", "timeout_s": 0}, {"timeout_s"}),
    ({"language": "python", "timeout_s": 3601}, {"timeout_s"}),
    ({"language": "python", "timeout_s": float("nan")}, {"timeout_s"}),
    ({"language": "python", "env": {"": "x"}}, {"env"}),
    ({"language": "python", "env": {"K": "v" * (121 << 10)}}, {"env"}),
    ({"language": "python", "metadata": {"": "x"}}, {"metadata"}),
    ({"language": "cobol", "timeout_s": -1}, {"language", "timeout_s"}),
]


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Served]:
    """With a body limit of 1 MiB that leaves room for what has to be refused for other reasons."""
    async with serving(tmp_path, settings=GatewaySettings(body_limit_mib=2)) as world:
        yield world


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The body, which must be a whole problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert {"type", "title", "detail", "retryable"} <= set(problem)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    return problem


def fields_of(problem: dict[str, object]) -> set[str]:
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert all(error["message"] for error in errors)
    return {error["field"] for error in errors}


def named(rows: list[tuple[dict[str, object], set[str]]]) -> list[ParameterSet]:
    return [pytest.param(members, fields, id=json.dumps(members)[:60]) for members, fields in rows]


async def post(served: Served, path: str, members: object) -> httpx.Response:
    # json.dumps writes NaN and Infinity as careless clients do; httpx would refuse to.
    return await served.http.post(path, content=json.dumps(members), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(("members", "fields"), named(RUN_FAULTS))
async def test_a_run_with_faults_has_each_of_them_named(
    small: Served, members: dict[str, object], fields: set[str]
) -> None:
    answer = await post(small, "/v1/run", {**RUN, **members})
    assert fields_of(problem_of(answer, 400, "invalid_request")) == fields
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize(("members", "fields"), named(EXEC_FAULTS))
async def test_an_exec_with_faults_has_each_of_them_named_and_the_sandbox_stays_usable(
    small: Served, members: dict[str, object], fields: set[str]
) -> None:
    sandbox = await small.sandbox()
    answer = await post(small, f"/v1/sandboxes/{sandbox}/exec", members)
    assert fields_of(problem_of(answer, 400, "invalid_request")) == fields
    assert (await small.exec(sandbox, "print 1")).json()["stdout"] == "1\n"


@pytest.mark.parametrize(("members", "fields"), named(SANDBOX_FAULTS))
async def test_a_sandbox_with_faults_has_each_of_them_named(
    small: Served, members: dict[str, object], fields: set[str]
) -> None:
    answer = await post(small, "/v1/sandboxes", members)
    assert fields_of(problem_of(answer, 400, "invalid_request")) == fields
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize("path", ["/v1/run", "/v1/sandboxes"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"language": "python",}',
        b'{"language": "python"} x',
        b"{'language': 'python'}",
        b'{"code": "\xff"}',
        b'{"code": "\\ud800"}',
        b'\xef\xbb\xbf{"code": "x"}',
        b"[" * 100_000,
        b'{"code": "print 1"',
        b'{"code": "print 1"}\0',
        b'{"code": "print 1"}{}',
        b'{"code": "a\nb"}',
        b'{"timeout_s": 01}',
        b'{"timeout_s": .5}',
        b'{"timeout_s": 0x5}',
        b'{"timeout_s": ' + b"9" * 5000 + b"}",
        b"// what for\n{}",
        b"[" * 202 + b"]" * 202,
        '{"code": "x"}'.encode("utf-16"),
        b'{"code": "\xed\xa0\x80"}',
        b'{"code": "\\ude00\\ud83d"}',
    ],
)
async def test_what_is_not_json_is_invalid_json(small: Served, path: str, body: bytes) -> None:
    answer = await small.http.post(path, content=body, headers={"Content-Type": "application/json"})
    problem = problem_of(answer, 400, "invalid_json")
    assert re.search(r"at line [0-9]+ column [0-9]+", str(problem["detail"]))
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"language": "python", "code": "print 1", "code": "print 2"}', {"code"}),
        (b'{"language": "python", "code": "x", "cod\\u0065": "y"}', {"code"}),
        (
            b'{"language": "python", "code": "x", "env": {"A": "1", "A": "1"}, "stdin": "", "stdin": ""}',
            {"env.A", "stdin"},
        ),
        (
            b'{"language": "python", "code": "x", "files": [{"path": "a", "content": "", "path": "b"}]}',
            {"files[0].path"},
        ),
        (b'{"language": "python", "code": "x", "env": {"A": "1", "A": "1"}, "env": {}}', {"env"}),
        (b'{"": 1, "": 2}', {"body"}),
    ],
)
async def test_a_name_given_twice_is_refused_with_its_place(small: Served, body: bytes, fields: set[str]) -> None:
    answer = await small.http.post("/v1/run", content=body, headers={"Content-Type": "application/json"})
    problem = problem_of(answer, 400, "invalid_request")
    assert fields_of(problem) == fields
    assert "more than once" in str(problem["detail"])
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize("body", [[], "python", 5, None, True, [RUN]])
async def test_json_that_is_no_object_is_one_fault_of_the_body(small: Served, body: object) -> None:
    problem = problem_of(await post(small, "/v1/run", body), 400, "invalid_request")
    assert problem["errors"] == [{"field": "body", "message": "must be a JSON object"}]
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize("path", ["/v1/run", "/v1/sandboxes"])
async def test_an_unknown_language_alone_is_a_404_that_names_those_there_are(small: Served, path: str) -> None:
    body = {"language": "cobol"} | ({"code": "x"} if path == "/v1/run" else {})
    problem = problem_of(await post(small, path, body), 404, "unknown_language")
    assert problem["detail"] == "there is no language 'cobol'; there are: node, python"
    assert small.leases_asked_for() == 0


@pytest.mark.parametrize("language", ["python", "node"])
async def test_only_the_programs_own_names_are_reserved(served: Served, language: str) -> None:
    names = {"python": ["main.py"], "node": ["main.js", "main.mjs"]}
    for owner, reserved in names.items():
        for name in reserved:
            body = {"language": language, "code": "print 1", "files": [file(name)]}
            answer = await post(served, "/v1/run", body)
            assert answer.status_code == (400 if owner == language else 200), answer.text


async def test_a_file_may_have_the_programs_name_where_there_is_no_program(served: Served) -> None:
    sandbox = await served.sandbox()
    body = {"command": "print 1", "files": [file("main.py")]}
    answer = await served.http.post(f"/v1/sandboxes/{sandbox}/exec", json=body)
    assert answer.json()["stdout"] == "1\n"


async def test_a_body_over_the_limit_is_refused_by_its_head_without_being_read(served: Served) -> None:
    limit = 8 << 20
    for path in ("/v1/run", "/v1/sandboxes", f"/v1/sandboxes/{await served.sandbox()}/exec"):
        answer = await served.http.post(path, content=b"x" * (limit + 1), headers={"Content-Type": "application/json"})
        problem = problem_of(answer, 413, "body_too_large")
        assert problem["detail"] == f"the body is {limit + 1} bytes; the limit is {limit} bytes (8 MiB)"
    assert served.leases_asked_for() == 1  # the sandbox's


async def test_a_body_of_unknown_length_is_read_only_to_the_limit(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (1 << 20)

    answer = await served.http.post("/v1/run", content=endless(), headers={"Content-Type": "application/json"})
    problem = problem_of(answer, 413, "body_too_large")
    assert str(8 << 20) in str(problem["detail"])
    assert served.leases_asked_for() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/plain; application/json"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_kind_is_415_and_not_read(served: Served, headers: dict[str, str]) -> None:
    for path in ("/v1/run", "/v1/sandboxes"):
        answer = await served.http.post(path, content=json.dumps(RUN), headers=headers)
        problem = problem_of(answer, 415, "unsupported_media_type")
        assert list(headers.values())[-1][:20] in str(problem["detail"])
    assert served.leases_asked_for() == 0


@pytest.mark.parametrize("kind", [None, "application/json", "Application/JSON; charset=utf-8"])
async def test_json_is_json_with_or_without_saying_so(served: Served, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await served.http.post("/v1/run", content=json.dumps(RUN).encode(), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "members",
    [
        {f"k{n}": 1 for n in range(500_000)},
        {"env": {f"k{n}": 1 for n in range(500_000)}},
        {"metadata": {f"k{n}": 1 for n in range(500_000)}},
        {"files": [{f"k{n}": 1 for n in range(500_000)}]},
        {"files": [{}] * 1_000_000},
        {"args": [1] * 1_000_000},
    ],
    ids=["members", "env", "metadata", "file", "files", "args"],
)
async def test_half_a_million_faults_make_a_short_answer(served: Served, members: dict[str, object]) -> None:
    answer = await post(served, "/v1/run", {**RUN, **members})
    problem_of(answer, 400, "invalid_request")
    assert len(answer.content) < 2000


async def test_no_more_than_a_hundred_faults_are_named(served: Served) -> None:
    problem = problem_of(await post(served, "/v1/run", {**RUN, "files": [{}] * 1000}), 400, "invalid_request")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert len(errors) == 101
    assert errors[-1] == {"field": "body", "message": "and 1900 faults more"}


async def test_what_just_fits_is_taken(served: Served) -> None:
    body = {
        **RUN,
        "timeout_s": 60,
        "args": ["x"] * 1024,
        "env": {f"K{n}": "v" for n in range(1000)},
        "metadata": {f"k{n}": "v" * 1024 for n in range(64)},
        "files": [file("/".join(["d"] * 31 + ["x" * 255]))] + [file(f"f{n}") for n in range(999)],
    }
    answer = await post(served, "/v1/run", body)
    assert answer.json()["stdout"] == "1\n", answer.text
    assert PYTHON.max_timeout_s == 60
