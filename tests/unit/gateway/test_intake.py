"""What a good request becomes. What bad ones are told is tested over HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake import plan_exec, plan_run, plan_sandbox
from gateway.problems import Problem
from gateway.schema import MAX_COMPONENT_BYTES, MAX_DEPTH, MAX_PATH_BYTES
from pool.template import Template
from runners.channel import encode_all
from runners.execution import ProgramFile

PYTHON = Template(name="py", language="python", image="petri/python", timeout_s=7.0, stream_limit_kib=3)
TEMPLATES = {"py": PYTHON}


def test_a_run_is_the_program_and_its_files_and_what_the_template_says() -> None:
    plan = plan_run(
        {
            "language": "py",
            "code": "print('é')",
            "files": [
                {"path": "a/b.txt", "content": "é"},
                {"path": "c.bin", "content": "AP8=", "encoding": "base64"},
            ],
            "stdin": "in\n",
            "args": ["x", ""],
            "env": {"K": "", "É": "ü"},
            "metadata": {"agent": "a"},
        },
        TEMPLATES,
    )
    execution = plan.execution
    assert list(execution.files) == [
        ProgramFile("main.py", "print('é')".encode()),
        ProgramFile("a/b.txt", "é".encode()),
        ProgramFile("c.bin", b"\x00\xff"),
    ]
    assert (execution.program, execution.argv, execution.cwd) == ("main.py", None, None)
    assert (execution.stdin, execution.args, execution.env) == (b"in\n", ["x", ""], {"K": "", "É": "ü"})
    assert (execution.timeout_s, execution.stream_limit, execution.output_limit) == (7.0, 3 << 10, 16 << 20)
    assert execution.last
    assert plan.output_encoding == "utf-8"


@pytest.mark.parametrize(
    ("body", "argv"),
    [
        ({"command": "ls | wc"}, ["/bin/sh", "-c", "ls | wc"]),
        ({"command": "echo $1", "args": ["x"]}, ["/bin/sh", "-c", "echo $1", "sh", "x"]),
        ({"argv": ["ls", "-l"]}, ["ls", "-l"]),
        ({"argv": ["ls"], "args": ["-l", ""]}, ["ls", "-l", ""]),
    ],
)
def test_a_command_becomes_an_argv_and_args_follow_it(body: dict[str, object], argv: list[str]) -> None:
    execution = plan_exec(body, PYTHON, {}).execution
    assert (execution.program, execution.argv, list(execution.args)) == (None, argv, [])
    assert not execution.last


def test_an_execs_variables_come_over_the_sandboxs() -> None:
    plan = plan_exec({"command": "env", "env": {"B": "exec", "C": "exec"}}, PYTHON, {"A": "sandbox", "B": "sandbox"})
    assert plan.execution.env == {"A": "sandbox", "B": "exec", "C": "exec"}


def test_null_is_as_good_as_absent_where_absent_has_a_meaning() -> None:
    body = {"code": "x", "command": None, "argv": None, "cwd": None, "timeout_s": None}
    assert plan_exec(body, PYTHON, {}).execution.timeout_s == 7.0


def test_a_time_too_short_for_the_protocol_is_the_shortest_it_knows() -> None:
    assert plan_run({"language": "py", "code": "x", "timeout_s": 1e-9}, TEMPLATES).execution.timeout_s == 0.001


def test_variables_of_the_sandbox_and_the_exec_count_together() -> None:
    large = {"A": "x" * (70 << 10)}
    plan_exec({"command": "env"}, PYTHON, large)
    with pytest.raises(Problem, match="at most 122880"):
        plan_exec({"command": "env", "env": {"B": "x" * (70 << 10)}}, PYTHON, large)


def test_a_sandbox_lives_as_long_as_asked_or_as_by_default() -> None:
    assert plan_sandbox({"language": "py"}, TEMPLATES, ttl_s=300, max_ttl_s=3600).ttl_s == 300
    assert plan_sandbox({"language": "py", "timeout_s": 5}, TEMPLATES, ttl_s=300, max_ttl_s=3600).ttl_s == 5


def test_standard_input_that_the_agent_would_not_keep_is_refused_here() -> None:
    plan_exec({"command": "cat", "stdin": "x" * (16 << 20)}, PYTHON, {})
    with pytest.raises(Problem, match="stdin: is 16777217 bytes; at most 16777216"):
        plan_exec({"command": "cat", "stdin": "x" * ((16 << 20) + 1)}, PYTHON, {})


#: The worst for JSON: a control character is six bytes there.
_ESCAPED = "\x01"


def test_whatever_is_taken_fits_into_the_frame_that_carries_it() -> None:
    body = {
        "argv": ["x"] * 1024,
        "args": ["x"] * 1024,
        "env": {f"{n:03}": _ESCAPED * 50 for n in range(1000)},
        "cwd": _ESCAPED * 200,
        "files": [{"path": f"{n:03}{_ESCAPED * 50}", "content": ""} for n in range(1000)],
    }
    encode_all(plan_exec(body, PYTHON, {}).execution.frames(1))


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
_PATHS = st.lists(st.sampled_from(["a", "b", ".", "..", "", "main.py", "x\0"]) | _NAMES, max_size=40).map("/".join)


@given(st.lists(_PATHS, min_size=1, max_size=4))
def test_paths_that_are_taken_are_plain_and_in_nobodys_way(paths: list[str]) -> None:
    body = {"language": "py", "code": "x", "files": [{"path": path, "content": ""} for path in paths]}
    try:
        files = plan_run(body, TEMPLATES).execution.files
    except Problem as problem:
        assert problem.code == "invalid_request"
        return
    taken = [file.path.split("/") for file in files]
    assert taken[0] == ["main.py"]
    for path in taken:
        assert 1 <= len(path) <= MAX_DEPTH
        assert not {"", ".", ".."} & set(path)
        assert all(len(name.encode()) <= MAX_COMPONENT_BYTES and "\0" not in name for name in path)
        assert len("/".join(path).encode()) <= MAX_PATH_BYTES
        assert sum(other[: len(path)] == path for other in taken) == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = ["language", "code", "files", "stdin", "args", "env", "timeout_s", "metadata", "command", "argv", "cwd"]
_BODIES = _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.just("py"), max_size=8)


@given(_BODIES)
def test_any_json_is_understood_or_is_a_problem_and_nothing_else(body: object) -> None:
    for plan in (
        lambda: plan_run(body, TEMPLATES),
        lambda: plan_exec(body, PYTHON, {}),
        lambda: plan_sandbox(body, TEMPLATES, ttl_s=300, max_ttl_s=3600),
    ):
        try:
            plan()
        except Problem as problem:
            assert problem.code in ("invalid_request", "unknown_language")
