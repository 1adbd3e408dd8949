"""The agent and its worker: readiness, zygotes, replacement, and runs that need a worker of their own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from runners.wire import Kind
from tests.conformance.agent_process import AgentProcess, children_of, command_line, eventually
from tests.conformance.conftest import DOUBLE, StartAgent, sh_manifest


def workers(agent: AgentProcess) -> list[int]:
    """Pids of the agent's children, each of them the test double."""
    pids = agent.children()
    assert all(b"sh_worker.py" in command_line(pid) for pid in pids), list(map(command_line, pids))
    return pids


def settled(agent: AgentProcess) -> list[int]:
    """The workers once a run has been and the next one's is there: the zygote, if any, and the worker."""
    assert agent.run("exit 0").exit_code == 0
    assert agent.run(argv=["true"]).exit_code == 0  # waits until the next worker is ready, and leaves it
    assert len(workers(agent)) == 1 + agent.has_zygote
    return workers(agent)


def test_a_zygote_and_its_worker_are_both_children_of_the_agent(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(zygote=True)).greeted()
    zygote, worker = settled(agent)
    assert not children_of(zygote)
    assert agent.run("echo $$", last=True).stdout != b""
    assert workers(agent) == [zygote]
    assert worker != zygote


def test_a_zygote_forks_nobody_before_there_is_a_run(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(zygote=True)).greeted()
    assert len(workers(agent)) == 1


def test_the_last_run_is_the_zygotes_own(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(zygote=True)).greeted()
    (zygote,) = workers(agent)
    stream = agent.start('echo up; read -r line; echo "got $line $1"; exit 3', args=["x"], stdin=None, last=True)
    agent.until_stdout(b"up\n")
    assert agent.children() == [zygote]
    assert b"main.sh" in command_line(zygote)
    agent.send(Kind.STDIN, stream, b"in\n")
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.exit_code) == (b"got in x\n", 3)
    assert agent.children() == []
    assert agent.run("echo one more").stdout == b"one more\n"


def test_every_worker_leads_a_process_group_of_its_own(agent: AgentProcess) -> None:
    for pid in settled(agent):
        assert os.getpgid(pid) == pid


def test_the_next_worker_is_prepared_after_a_run(agent: AgentProcess) -> None:
    first, second = settled(agent), settled(agent)
    assert first[-1] != second[-1]
    assert first[:-1] == second[:-1]


def test_execs_that_follow_at_once_wait_for_the_next_worker(agent: AgentProcess) -> None:
    for number in range(10):
        assert agent.run(f"exit {number}").exit_code == number


def test_the_manifests_environment_is_the_workers_and_not_the_runs(agent: AgentProcess) -> None:
    assert any(b"SH_ONLY_FOR_THE_WORKER=1" in Path(f"/proc/{pid}/environ").read_bytes() for pid in workers(agent))
    assert agent.run('echo "[$SH_ONLY_FOR_THE_WORKER$PETRI_WORKER_FD$PETRI_ZYGOTE]"').stdout == b"[]\n"


def test_a_run_that_changes_what_a_start_reads_gets_a_worker_started_with_it(agent: AgentProcess) -> None:
    ready = settled(agent)
    outcome = agent.run('echo "$SH_BOOT $DOUBLE_STARTED_WITH"; cat', env={"SH_BOOT": "x"}, stdin=b"in")
    assert outcome.stdout == b"x x\nin"
    assert workers(agent) == ready
    assert agent.run('echo "[$SH_BOOT$DOUBLE_STARTED_WITH]"').stdout == b"[]\n"


def test_a_run_that_sets_what_the_sandbox_has_anyway_uses_the_ready_worker(
    start_agent: StartAgent, zygote: bool
) -> None:
    agent = start_agent(sh_manifest(zygote=zygote), env={"SH_BOOT": "x"}).greeted()
    ready = settled(agent)[-1]
    assert agent.run("echo $$", env={"SH_BOOT": "x"}, last=True).exit_code == 0
    assert ready not in agent.children()


def test_a_start_that_the_runs_environment_breaks_is_the_runs_outcome(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote, boot_env=["DOUBLE_*"])).greeted()
    outcome = agent.run("echo never", env={"DOUBLE_FAILS": "1"})
    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == (b"", b"first line\nsecond line: no such luck\n", 3)
    assert agent.run("echo next").stdout == b"next\n"


def test_a_start_that_the_runs_environment_hangs_meets_the_runs_deadline(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote, boot_env=["DOUBLE_*"])).greeted()
    outcome = agent.run("echo never", env={"DOUBLE_HANGS": "1"}, timeout_ms=150)
    assert (outcome.stdout, outcome.exit["timed_out"]) == (b"", True)
    assert agent.run("echo next").stdout == b"next\n"


def test_a_run_cannot_make_its_worker_a_zygote(agent: AgentProcess) -> None:
    outcome = agent.run("echo $PETRI_ZYGOTE", env={"SH_BOOT": "x", "PETRI_ZYGOTE": "1", "PETRI_WORKER_FD": "0"})
    assert outcome.stdout == b"1\n"


def test_a_worker_that_dies_while_it_waits_is_replaced(agent: AgentProcess) -> None:
    before = settled(agent)
    os.kill(before[-1], signal.SIGKILL)
    eventually(lambda: len(agent.children()) == len(before) and before[-1] not in agent.children())
    assert agent.run("echo fine").stdout == b"fine\n"


def test_an_exec_that_finds_its_worker_just_dead_gets_another(agent: AgentProcess) -> None:
    fine = 0
    for _ in range(10):
        os.kill(settled(agent)[-1], signal.SIGKILL)
        outcome = agent.run("cat", stdin=b"fine")
        fine += outcome.stdout == b"fine"
        # The kernel may hand a dying worker the go message before it ends it. Nobody can tell that from a run
        # that was killed at its start, and so the run is told.
        assert outcome.stdout == b"fine" or outcome.exit["signal"] == signal.SIGKILL
    assert fine >= 7


def is_gone(pid: int) -> bool:
    """Reaped, too."""
    return not Path(f"/proc/{pid}").exists()


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


@pytest.mark.parametrize("last", [False, True])
def test_a_run_whose_worker_dies_before_it_began_gets_another(agent: AgentProcess, last: bool) -> None:
    worker = workers(agent)[-1] if last else settled(agent)[-1]
    stop(worker)
    content = os.urandom(200_000)
    stream = agent.start("sha256sum", stdin=content, last=last)
    assert agent.ask(Kind.STAT, path="main.sh")[1]["entry"]  # the go message and what the pipe takes are on their way
    os.kill(worker, signal.SIGKILL)
    outcome = agent.outcome(stream)
    assert outcome.stdout.split()[0].decode() == hashlib.sha256(content).hexdigest()


def test_a_run_that_is_ended_before_its_worker_began_is_not_begun_again(agent: AgentProcess) -> None:
    worker = settled(agent)[-1]
    stop(worker)
    stream = agent.start("echo ran", timeout_ms=150)
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.exit["timed_out"]) == (b"", True)
    stop(settled(agent)[-1])
    stream = agent.start("echo ran")
    agent.send(Kind.SIGNAL, stream, {"signal": 9})
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.signal) == (b"", 9)
    stop(settled(agent)[-1])
    stream = agent.start("echo ran")
    for number in (signal.SIGTERM, signal.SIGCONT):
        agent.send(Kind.SIGNAL, stream, {"signal": int(number)})
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.signal) == (b"", 15)


def test_a_zygote_that_dies_is_replaced(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(zygote=True)).greeted()
    alive = workers(agent)
    for _ in range(3):
        killed = alive[0]
        os.kill(killed, signal.SIGKILL)
        eventually(partial(is_gone, killed))
        alive = settled(agent)
        assert killed not in alive


def test_a_zygote_that_a_run_kills_is_replaced(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(zygote=True), pid_1=True).greeted()
    killing = "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $$ ] || kill -9 $p; done; echo killed"
    for how in ({"program": killing}, {"argv": ["sh", "-c", killing]}):
        assert agent.run(**how).stdout == b"killed\n"
        assert agent.run("echo fine").stdout == b"fine\n"


@pytest.fixture
def fragile(start_agent: StartAgent, zygote: bool, tmp_path: Path) -> tuple[AgentProcess, Path]:
    """An agent whose worker can be taken away: the double's file."""
    script = tmp_path / "sh_worker.py"
    shutil.copy(DOUBLE, script)
    command = [os.path.realpath(sys.executable), "-I", "-S", str(script)]
    return start_agent(sh_manifest(zygote=zygote, command=command)).greeted(), script


def test_when_no_worker_can_be_made_programs_are_refused_and_commands_run(fragile: tuple[AgentProcess, Path]) -> None:
    agent, script = fragile
    hidden = script.with_suffix(".away")
    script.rename(hidden)
    for pid in reversed(agent.children()):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not agent.children())
    outcome = agent.run("echo never")
    assert outcome.error["code"] == "worker_failed"
    assert "No such file or directory" in outcome.error["message"]
    assert agent.run(argv=["echo", "a command"]).stdout == b"a command\n"
    hidden.rename(script)
    assert agent.run("echo again").stdout == b"again\n"


@pytest.mark.parametrize("said", ["X", "RR"])
def test_a_worker_that_says_anything_but_r_is_no_worker(start_agent: StartAgent, said: str) -> None:
    agent = start_agent(sh_manifest(command=["/bin/sh", "-c", f"printf {said} >&3; exec cat <&3"]))
    assert agent.last_words()["code"] == "worker_failed"


def test_a_go_message_larger_than_the_socket_takes_arrives_whole(agent: AgentProcess) -> None:
    words = ["x" * 1000] * 900
    outcome = agent.run('echo $#; echo "$*" | wc -c', args=words)
    assert outcome.stdout.split() == [b"900", b"900900"]


def test_what_a_worker_says_while_it_boots_is_no_frame(start_agent: StartAgent) -> None:
    noisy = ["/bin/sh", "-c", 'echo noise; echo noise >&2; exec "$@"', "sh"]
    real = sh_manifest()["command"]
    assert isinstance(real, list)
    agent = start_agent(sh_manifest(zygote=True, command=noisy + real)).greeted()
    assert agent.run("echo fine").output == b"fine\n"
    assert agent.ask(Kind.STAT, path="")[1]["entry"]["type"] == "dir"
