"""`POST /v1/run`: what the caller gets for what the code did, and what becomes of the sandbox."""

from __future__ import annotations

import base64
import re

import pytest

from pool.engine import Usage
from tests.gateway.served import Served


async def test_a_run_that_succeeds_answers_with_the_whole_run_object(served: Served) -> None:
    answer = await served.run("print hello\nerr oops")
    assert answer.status_code == 200
    run = answer.json()
    assert re.fullmatch("run_[0-9a-f]{32}", run.pop("run_id"))
    assert re.fullmatch("sb_[0-9a-f]{32}", run.pop("sandbox_id"))
    timings = run.pop("timings_ms")
    assert list(timings) == ["queue", "lease", "run", "total"]
    assert 0 <= timings["queue"] + timings["lease"] + timings["run"] <= timings["total"]
    assert run.pop("duration_ms") == timings["run"] > 0
    assert run == {
        "language": "python",
        "status": "succeeded",
        "exit_code": 0,
        "signal": None,
        "stdout": "hello\n",
        "stderr": "oops\n",
        "output": "hello\noops\n",
        "stdout_truncated": False,
        "stderr_truncated": False,
        "error": None,
    }


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "signal", "error"),
    [
        ("exit 3", "failed", 3, None, {"kind": "user", "code": "nonzero_exit", "message": "exited with code 3"}),
        ("signal 11", "failed", None, "SIGSEGV", {"kind": "user", "code": "signal", "message": "was ended by SIGSEGV"}),
        (
            "timeout",
            "timed_out",
            None,
            "SIGKILL",
            {"kind": "limit", "code": "timed_out", "message": "was still running after 0.1 s"},
        ),
    ],
)
async def test_a_run_that_does_not_succeed_says_how_it_ended_and_why(
    served: Served, code: str, status: str, exit_code: int | None, signal: str | None, error: object
) -> None:
    answer = await served.run(code, timeout_s=0.1)
    run = answer.json()
    assert answer.status_code == 200
    assert (run["status"], run["exit_code"], run["signal"], run["error"]) == (status, exit_code, signal, error)


async def test_the_hosts_count_of_out_of_memory_kills_makes_a_failed_run_oom(served: Served) -> None:
    for container in served.engine.containers.values():
        container.usage_now = Usage(oom_kills=1)
    run = (await served.run("signal 9")).json()
    assert (run["status"], run["signal"]) == ("oom", "SIGKILL")
    assert run["error"] == {"kind": "limit", "code": "oom", "message": "ran out of its 256 MiB of memory"}


async def test_text_that_is_not_utf_8_cannot_break_the_answer_and_base64_gives_the_bytes(served: Served) -> None:
    assert (await served.run("print ünï")).json()["stdout"] == "ünï\n"
    run = (await served.run("print ünï", output_encoding="base64")).json()
    assert [base64.b64decode(run[name]) for name in ("stdout", "stderr", "output")] == [
        "ünï\n".encode(),
        b"",
        "ünï\n".encode(),
    ]


async def test_the_timings_are_in_the_server_timing_header_too(served: Served) -> None:
    answer = await served.run("print 1")
    timings = answer.json()["timings_ms"]
    header = re.findall(r"([\w-]+);dur=([\d.e-]+)", answer.headers["server-timing"])
    said = {name: float(value) for name, value in header}
    stages = ["parse", "queue", "thaw", "lease", "send", "first-byte", "exit", "run", "respond", "total"]
    assert list(said) == stages
    assert {name: said[name] for name in timings} == pytest.approx(timings)
    assert said["send"] + said["first-byte"] + said["exit"] == pytest.approx(said["run"], abs=0.005)
    assert 0 < said["parse"] + said["queue"] + said["lease"] + said["run"] <= said["total"]
    silent = (await served.run("exit 0")).headers["server-timing"]
    assert "first-byte" not in silent


async def test_each_run_has_a_sandbox_of_its_own_which_is_destroyed(served: Served) -> None:
    used = {(await served.run("print 1")).json()["sandbox_id"] for _ in range(5)}
    assert len(used) == 5
    await served.until(lambda: not used & set(served.engine.containers))
    await served.until(lambda: served.pool().ready == 2)


async def test_files_and_input_of_several_mebibytes_arrive(served: Served) -> None:
    answer = await served.run("print 1", stdin="x" * (3 << 20), files=[{"path": "big", "content": "y" * (900 << 10)}])
    assert answer.json()["stdout"] == "1\n"


@pytest.mark.parametrize("code", ["die", "print 1\ndie", "garbage"])
async def test_a_sandbox_that_dies_under_a_run_is_a_502_that_says_code_had_started(served: Served, code: str) -> None:
    answer = await served.run(code)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["retryable"]) == ("sandbox_lost", False)
    assert (await served.run("print 1")).json()["status"] == "succeeded"
