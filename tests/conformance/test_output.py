"""Output: all of it, in order, up to the limits, at the pace of the host."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from runners.wire import Frame, Kind, encode
from tests.conformance.agent_process import AgentProcess, eventually
from tests.conformance.conftest import StartAgent, sh_manifest

PYTHON = os.path.realpath(sys.executable)
MIB = 1 << 20


def memory_kib(agent: AgentProcess) -> int:
    return int(Path(f"/proc/{agent.pid}/status").read_text().split("VmRSS:")[1].split()[0])


def test_all_output_comes_before_exit_in_frames_of_at_most_64_kib(agent: AgentProcess) -> None:
    program = f"head -c {3 * MIB} /dev/zero | tr '\\0' x; exit 2"
    outcome = agent.run(program, stream_limit=8 * MIB)
    assert (len(outcome.stdout), outcome.exit_code) == (3 * MIB, 2)
    assert outcome.frames[-1].kind is Kind.EXIT
    assert max(len(frame.payload) for frame in outcome.frames) <= 64 << 10
    assert outcome.exit["stdout_truncated"] is False


def test_bytes_pass_unchanged(agent: AgentProcess) -> None:
    content = os.urandom(200_000)
    outcome = agent.run(argv=["cat", "content"], files={"content": content})
    assert hashlib.sha256(outcome.stdout).digest() == hashlib.sha256(content).digest()


def test_output_that_looks_like_frames_is_output(agent: AgentProcess) -> None:
    forged = encode(Frame(Kind.EXIT, 1, b'{"exit_code": 0}')) + encode(Frame(Kind.HELLO, 0, b"{}"))
    outcome = agent.run("cat forged; cat forged >&2; exit 9", files={"forged": forged})
    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == (forged, forged, 9)


def test_standard_output_and_error_keep_their_order(agent: AgentProcess) -> None:
    stream = agent.start("for n in 1 2 3; do echo out$n; read -r x; echo err$n >&2; read -r x; done", stdin=None)
    seen = b""
    for _ in range(6):
        seen += agent.receive().payload
        agent.send(Kind.STDIN, stream, b"\n")
    assert seen == b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"
    assert agent.outcome(stream).exit_code == 0


def test_each_stream_is_cut_at_its_limit_and_the_program_goes_on(agent: AgentProcess) -> None:
    program = "head -c 300000 /dev/zero; head -c 100 /dev/zero >&2; echo > finished"
    outcome = agent.run(program, stream_limit=1000)
    assert (len(outcome.stdout), len(outcome.stderr), outcome.exit_code) == (1000, 100, 0)
    assert (outcome.exit["stdout_truncated"], outcome.exit["stderr_truncated"]) == (True, False)
    assert outcome.exit["output_limit"] is False
    assert (agent.workspace / "finished").exists()


def test_output_of_exactly_the_limit_is_whole(agent: AgentProcess) -> None:
    outcome = agent.run("head -c 1000 /dev/zero", stream_limit=1000, output_limit=1000)
    assert (len(outcome.stdout), outcome.exit["stdout_truncated"], outcome.exit["output_limit"]) == (1000, False, False)


def test_nothing_is_kept_where_the_limit_is_nothing(agent: AgentProcess) -> None:
    outcome = agent.run("echo something", stream_limit=0)
    assert (outcome.stdout, outcome.exit["stdout_truncated"], outcome.exit_code) == (b"", True, 0)


@pytest.mark.parametrize("program", ["yes", "yes >&2", "yes & yes >&2", "trap '' TERM PIPE; yes"])
def test_output_without_end_ends_the_run_at_the_limit_for_both_together(agent: AgentProcess, program: str) -> None:
    outcome = agent.run(program, stream_limit=1000, output_limit=500_000, last=True)
    assert outcome.exit["output_limit"] is True
    assert outcome.exit["timed_out"] is False
    assert outcome.signal == 9 or "&" in program
    assert len(outcome.stdout) <= 1000
    assert len(outcome.stderr) <= 1000
    assert not agent.guests()
    assert agent.run("echo next").stdout == b"next\n"


def test_no_more_than_the_limit_for_both_is_sent(agent: AgentProcess) -> None:
    outcome = agent.run("yes & yes >&2", stream_limit=1 << 30, output_limit=300_000)
    assert len(outcome.output) == 300_000


def test_a_program_that_closes_its_output_runs_to_its_end(agent: AgentProcess) -> None:
    stream = agent.start("echo up; exec >&- 2>&-; read -r line; exit 4", stdin=None)
    agent.until_stdout(b"up\n")
    agent.send(Kind.STDIN_END, stream)
    assert agent.outcome(stream).exit_code == 4


def test_a_program_dies_of_sigpipe_as_it_does_elsewhere(agent: AgentProcess) -> None:
    outcome = agent.run("(yes; echo $? >&2) | head -n 1")
    assert (outcome.stdout, outcome.stderr) == (b"y\n", b"141\n")


def test_a_host_that_does_not_read_slows_the_guest_and_not_the_frames(agent: AgentProcess) -> None:
    before = memory_kib(agent)
    stream = agent.start("echo up; yes", stream_limit=1 << 30, output_limit=1 << 30, timeout_ms=60_000, last=True)
    agent.until_stdout(b"up\n")
    probe = agent.workspace / "probe"
    put = agent.start_put("probe", b"x" * MIB)
    eventually(lambda: probe.exists() and probe.stat().st_size == MIB)
    agent.send(Kind.SIGNAL, stream, {"signal": 9})
    eventually(lambda: not agent.guests())
    assert memory_kib(agent) - before < 8 << 10
    assert agent.outcome(stream).signal == 9
    assert agent.answer(put)[1] == {"size": MIB}


def test_a_deadline_passes_while_the_host_does_not_read(agent: AgentProcess) -> None:
    stream = agent.start("yes", stream_limit=1 << 30, output_limit=1 << 30, timeout_ms=150, last=True)
    agent.receive_on(stream)
    eventually(lambda: not agent.guests())
    assert agent.outcome(stream).exit["timed_out"] is True


def test_files_are_answered_while_output_floods(agent: AgentProcess) -> None:
    stream = agent.start("yes", stream_limit=1 << 40, output_limit=1 << 40, timeout_ms=60_000)
    for _ in range(100):  # more than may be open at once
        assert agent.ask(Kind.STAT, path="main.sh")[1]["entry"]["type"] == "file"
    agent.send(Kind.SIGNAL, stream, {"signal": 9})
    assert agent.outcome(stream).signal == 9


def test_a_host_that_is_always_a_little_behind_costs_no_memory(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest()).greeted()
    before = memory_kib(agent)
    outcome = agent.run(f"head -c {64 * MIB} /dev/zero", stream_limit=1 << 30, output_limit=1 << 30)
    assert len(outcome.stdout) == 64 * MIB
    assert memory_kib(agent) - before < 8 << 10


def test_a_host_that_asks_and_does_not_read_costs_little_memory(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest()).greeted()
    for number in range(1500):
        (agent.workspace / f"{number:0200}").touch()
    before = memory_kib(agent)
    lists = [agent.new_stream() for _ in range(40)]  # answers of 20 MiB together
    for stream in lists:
        agent.send(Kind.LIST, stream, {"path": ""})
    put = agent.start_put("probe", b"x")
    eventually((agent.workspace / "probe").exists)
    assert memory_kib(agent) - before < 12 << 10
    for stream in lists:
        assert len(agent.answer(stream)[1]["entries"]) >= 1500
    assert agent.answer(put)[1] == {"size": 1}
