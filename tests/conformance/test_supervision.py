"""Deadlines, signals, leftovers: whatever a guest does to itself and its surroundings is that run's outcome only."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from runners.wire import Kind
from tests.conformance.agent_process import AgentProcess, eventually
from tests.conformance.conftest import StartAgent, sh_manifest

PYTHON = os.path.realpath(sys.executable)

#: Milliseconds. A deadline that a test waits out.
SHORT = 150


@pytest.fixture
def pid1(start_agent: StartAgent, zygote: bool) -> AgentProcess:
    return start_agent(sh_manifest(zygote=zygote), pid_1=True).greeted()


def works(agent: AgentProcess) -> bool:
    return agent.run("echo works").stdout == b"works\n" and agent.run(argv=["echo", "too"]).stdout == b"too\n"


@pytest.mark.parametrize(
    "program",
    [
        "sleep 1000",
        "while :; do :; done",
        "trap '' TERM INT HUP; sleep 1000",
        "kill -STOP $$",
        "kill -STOP 0",
        "(setsid sleep 1000 &); sleep 1000",
        "exec >&- 2>&- <&-; sleep 1000",
        "read -r line",
    ],
)
def test_a_run_that_does_not_end_is_ended_at_its_deadline(agent: AgentProcess, program: str) -> None:
    started = time.monotonic()
    outcome = agent.outcome(agent.start(program, stdin=None, timeout_ms=SHORT, last=True))
    took = time.monotonic() - started
    assert outcome.exit["timed_out"] is True
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert took >= SHORT / 1000
    assert outcome.exit["duration_us"] >= SHORT * 1000
    assert not agent.guests()
    assert works(agent)


def test_a_command_has_the_same_deadline(agent: AgentProcess) -> None:
    outcome = agent.run(argv=["sleep", "1000"], timeout_ms=SHORT)
    assert outcome.exit["timed_out"] is True
    assert works(agent)


def test_output_from_before_the_deadline_is_kept(agent: AgentProcess) -> None:
    outcome = agent.run("echo before; sleep 1000", timeout_ms=SHORT)
    assert (outcome.stdout, outcome.exit["timed_out"]) == (b"before\n", True)


def test_an_answer_that_comes_in_time_is_not_timed_out(agent: AgentProcess) -> None:
    assert agent.run("exit 5", timeout_ms=20_000).exit["timed_out"] is False


def test_a_signal_reaches_the_program(agent: AgentProcess) -> None:
    stream = agent.start("trap 'echo caught; exit 7' TERM; echo up; while :; do sleep 0.01; done")
    agent.until_stdout(b"up\n")
    agent.send(Kind.SIGNAL, stream, {"signal": int(signal.SIGTERM)})
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.exit_code) == (b"caught\n", 7)


def test_a_signal_reaches_what_the_program_waits_for(agent: AgentProcess) -> None:
    stream = agent.start("echo up; sleep 1000")
    agent.until_stdout(b"up\n")
    agent.send(Kind.SIGNAL, stream, {"signal": int(signal.SIGTERM)})
    assert agent.outcome(stream).signal == signal.SIGTERM
    assert works(agent)


def test_signal_9_ends_everything_the_run_started(agent: AgentProcess) -> None:
    program = "(setsid sleep 1000 >/dev/null 2>&1 &); (sleep 1000 &); echo up; sleep 1000"
    stream = agent.start(program, stdin=None, last=True)
    agent.until_stdout(b"up\n")
    assert len(agent.guests()) >= 3
    agent.send(Kind.SIGNAL, stream, {"signal": 9})
    outcome = agent.outcome(stream)
    assert (outcome.exit_code, outcome.signal, outcome.exit["timed_out"]) == (None, 9, False)
    assert not agent.guests()
    assert works(agent)


def test_signal_9_while_the_files_arrive_ends_the_run_before_it_begins(agent: AgentProcess) -> None:
    order = {"argv": ["touch", "ran"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    agent.send(Kind.EXEC, 1, order | {"files": [{"path": "f", "size": 2}]})
    agent.send(Kind.SIGNAL, 1, {"signal": 9})
    agent.send(Kind.DATA, 1, b"12")
    assert agent.outcome(1).signal == 9
    assert not (agent.workspace / "ran").exists()
    agent._next_stream = 2
    assert works(agent)


def test_another_signal_while_the_files_arrive_is_delivered_when_the_run_begins(agent: AgentProcess) -> None:
    order = {"argv": ["sleep", "1000"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    agent.send(Kind.EXEC, 1, order | {"files": [{"path": "f", "size": 2}]})
    agent.send(Kind.SIGNAL, 1, {"signal": 15})
    agent.send(Kind.DATA, 1, b"12")
    assert agent.outcome(1).signal == 15


def test_a_daemon_that_keeps_standard_output_open_does_not_hold_the_answer(agent: AgentProcess) -> None:
    started = time.monotonic()
    outcome = agent.run("setsid sleep 1000 & echo done", last=True)
    assert (outcome.stdout, outcome.exit_code) == (b"done\n", 0)
    assert time.monotonic() - started < 10
    assert not agent.guests()
    assert works(agent)


def test_what_a_child_writes_just_after_the_main_process_is_kept(agent: AgentProcess) -> None:
    program = "(while kill -0 $$ 2>/dev/null; do :; done; echo late) & echo early"
    assert agent.run(program).stdout == b"early\nlate\n"


@pytest.mark.parametrize(
    "daemon",
    [
        "(sleep 1000 >/dev/null 2>&1 &)",
        "setsid sleep 1000 >/dev/null 2>&1 </dev/null &",
        "(setsid sh -c 'kill -STOP $$' >/dev/null 2>&1 &)",
        "i=0; while [ $i -lt 40 ]; do (setsid sleep 1000 >/dev/null 2>&1 &); i=$((i+1)); done",
    ],
)
def test_nothing_that_a_run_started_outlives_it(agent: AgentProcess, daemon: str) -> None:
    assert agent.run(f"{daemon}\necho done", last=True).stdout == b"done\n"
    assert not agent.guests()
    assert works(agent)


def test_what_a_command_started_does_not_outlive_it(agent: AgentProcess) -> None:
    before = agent.children()
    daemon = ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]
    assert agent.run(argv=daemon, last=True).exit_code == 0
    assert agent.descendants() == before


def test_orphans_are_reaped_while_the_run_goes_on(agent: AgentProcess) -> None:
    stream = agent.start("i=0; while [ $i -lt 30 ]; do (true &); i=$((i+1)); done; echo up; read -r line", stdin=None)
    agent.until_stdout(b"up\n")
    eventually(lambda: len(agent.guests()) == 1)
    agent.send(Kind.STDIN_END, stream)
    assert agent.outcome(stream).exit_code == 1


#: A process that is never found twice under one pid: it forks and ends, forks and ends.
HOPPER = """
import os, sys
if os.fork():
    sys.stdout.write("hopping\\n")
    sys.stdout.flush()
    os._exit(0)
while True:
    {between}
    if os.fork():
        os._exit(0)
"""


def test_a_process_that_keeps_forking_away_is_caught(agent: AgentProcess) -> None:
    outcome = agent.run(argv=[PYTHON, "-I", "-S", "-c", HOPPER.format(between="pass")], last=True)
    assert (outcome.stdout, outcome.exit_code) == (b"hopping\n", 0)
    assert not agent.guests()
    assert works(agent)


def test_as_pid_1_not_even_one_in_ever_new_sessions_gets_away(pid1: AgentProcess) -> None:
    outcome = pid1.run(argv=[PYTHON, "-I", "-S", "-c", HOPPER.format(between="os.setsid()")], last=True)
    assert (outcome.stdout, outcome.exit_code) == (b"hopping\n", 0)
    assert not pid1.guests()
    assert works(pid1)


#: 16 of them, while the main process waits.
STORM = """
import os, time
if os.fork():
    time.sleep(1000)
for _ in range(4):
    os.fork()
while True:
    os.setsid() if os.fork() == 0 else os._exit(0)
"""


def test_a_storm_of_forks_ends_at_the_deadline(pid1: AgentProcess) -> None:
    outcome = pid1.run(argv=[PYTHON, "-I", "-S", "-c", STORM], timeout_ms=SHORT, last=True)
    assert outcome.exit["timed_out"] is True
    assert not pid1.guests()
    assert works(pid1)


@pytest.mark.parametrize("victim", ["-1", "$PPID"])
def test_a_guest_that_kills_everybody_harms_itself_alone(pid1: AgentProcess, victim: str) -> None:
    assert pid1.run(f"kill -9 {victim}; echo alive").stdout == b"alive\n"
    assert works(pid1)


def test_no_signal_that_a_guest_sends_to_pid_1_has_an_effect(pid1: AgentProcess) -> None:
    program = """
import ctypes, os, signal
libc = ctypes.CDLL(None)
for _ in range(50):
    for number in range(1, 65):
        os.kill(1, signal.SIGCHLD)  # has a handler, and the kernel is careless about PID 1 while it runs
        os.kill(1, number)
        libc.sigqueue(1, number, ctypes.c_void_p(1))
print("sent")
"""
    outcome = pid1.run(argv=[PYTHON, "-c", program])
    assert (outcome.stdout, outcome.exit_code) == (b"sent\n", 0), outcome.stderr
    assert works(pid1)


def test_a_zygote_and_a_worker_that_a_guest_stops_go_on_after_it(pid1: AgentProcess) -> None:
    program = "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $$ ] || kill -STOP $p; done; echo stopped"
    assert pid1.run(argv=["sh", "-c", program]).stdout == b"stopped\n"
    assert works(pid1)


def test_a_guest_that_leaves_its_process_group_is_still_signalled(agent: AgentProcess) -> None:
    program = """
import os, time
child = os.fork()
if child == 0:
    time.sleep(1000)
os.setpgid(child, child)
os.setpgid(0, child)
print("up", flush=True)
time.sleep(1000)
"""
    stream = agent.start(argv=[PYTHON, "-I", "-S", "-c", program])
    agent.until_stdout(b"up\n")
    agent.send(Kind.SIGNAL, stream, {"signal": 15})
    assert agent.outcome(stream).signal == 15


def test_only_its_own_descendants_are_touched_by_an_agent_that_is_not_pid_1(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest()).greeted()
    bystander = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    try:
        agent.run("(setsid sleep 1000 &); sleep 1000", timeout_ms=SHORT)
        agent.hang_up()
        agent.wait()
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


def test_a_dead_main_thread_is_not_a_dead_process(agent: AgentProcess) -> None:
    program = """
import ctypes, threading, os
def go_on():
    import time
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    os.write(1, b"still here\\n")
    os._exit(6)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
"""
    outcome = agent.run(argv=[PYTHON, "-c", program])
    assert (outcome.stdout, outcome.exit_code) == (b"still here\n", 6), outcome.stderr


def test_an_agent_without_work_does_not_wake_up(agent: AgentProcess) -> None:
    assert works(agent)
    assert agent.run("exit 0", last=True).exit_code == 0
    switches = Path(f"/proc/{agent.pid}/status")

    def count() -> int:
        return int(switches.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])

    before = count()
    time.sleep(0.5)
    assert count() - before <= 2
