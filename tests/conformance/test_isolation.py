"""What a guest can see and reach of the agent: nothing."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.conformance.agent_process import AgentProcess
from tests.conformance.conftest import StartAgent, sh_manifest

#: The uid of the agent and all its children, with no way to more: what a sandbox has.
UNPRIVILEGED = (
    "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
    "--no-new-privs", "--",
)  # fmt: skip


@pytest.fixture(params=["plain", "pid1"])
def unprivileged(request: pytest.FixtureRequest, start_agent: StartAgent, workspace: Path) -> AgentProcess:
    """An agent of a uid without any capability. Its worker is a shell that waits for ever: only commands run here."""
    os.chown(workspace, 54321, 54321)
    manifest = sh_manifest(command=["/bin/sh", "-c", "printf R >&3; exec cat <&3"])
    return start_agent(manifest, pid_1=request.param == "pid1", prefix=UNPRIVILEGED).greeted()


def sh(agent: AgentProcess, script: str) -> list[str]:
    outcome = agent.run(argv=["sh", "-c", script])
    return (outcome.stdout + outcome.stderr).decode().splitlines()


@pytest.mark.parametrize("how", ["program", "argv"])
def test_a_guest_holds_its_three_descriptors_and_no_other(agent: AgentProcess, how: str) -> None:
    script = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> \\([a-z/]*\\).*/\\1 \\2/p'"
    outcome = agent.run(script) if how == "program" else agent.run(argv=["sh", "-c", script])
    held = [line for line in outcome.stdout.decode().splitlines() if "/proc/" not in line]  # the one ls itself opens
    assert held == ["0 pipe", "1 pipe", "2 pipe"]


def test_descriptors_that_the_agent_was_started_with_do_not_reach_a_guest(
    start_agent: StartAgent, workspace: Path
) -> None:
    leak = ["sh", "-c", 'exec 5</etc/passwd 77</etc/passwd "$@"', "sh"]
    agent = start_agent(sh_manifest(), prefix=["bash", *leak[1:]]).greeted()
    assert "passwd" in " ".join(str(fd.readlink()) for fd in Path(f"/proc/{agent.pid}/fd").iterdir())
    outcome = agent.run("ls -l /proc/self/fd")
    assert b"passwd" not in outcome.stdout


def test_a_guest_of_the_same_uid_reaches_nothing_of_the_agents(unprivileged: AgentProcess) -> None:
    tries = (
        "for f in fd/0 fd/1 fd/10 fd/11 mem environ maps; do "
        "(exec 9</proc/$PPID/$f) 2>/dev/null && echo read $f; (exec 9>/proc/$PPID/$f) 2>/dev/null && echo wrote $f; "
        "done; ls /proc/$PPID/fd 2>/dev/null; echo end"
    )
    assert sh(unprivileged, tries) == ["end"]


def test_a_guest_reaches_what_is_its_own(unprivileged: AgentProcess) -> None:
    script = "for f in environ maps fd/1; do (exec 9</proc/$$/$f) || echo no $f; done; echo end"
    assert sh(unprivileged, script) == ["end"]


def test_the_kernel_picks_a_guest_before_the_agent(unprivileged: AgentProcess) -> None:
    assert sh(unprivileged, "cat /proc/self/oom_score_adj; cat /proc/$PPID/oom_score_adj") == ["1000", "0"]
    assert [Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in unprivileged.children()] == ["1000\n"]


def test_workers_and_their_zygote_are_picked_before_the_agent_too(agent: AgentProcess) -> None:
    assert agent.run("cat /proc/self/oom_score_adj", last=True).stdout == b"1000\n"
    assert {Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in agent.children()} <= {"1000\n"}
    assert Path(f"/proc/{agent.pid}/oom_score_adj").read_text() == "0\n"


def test_the_agents_own_standard_descriptors_lead_nowhere(agent: AgentProcess) -> None:
    assert {str(Path(f"/proc/{agent.pid}/fd/{fd}").readlink()) for fd in range(3)} == {"/dev/null"}


def test_a_guest_starts_with_every_signal_at_its_default(agent: AgentProcess) -> None:
    for how in ({"program": "exec cat /proc/self/status"}, {"argv": ["cat", "/proc/self/status"]}):
        status = dict(line.split(":\t") for line in agent.run(**how).stdout.decode().splitlines() if ":\t" in line)
        assert {status[name] for name in ("SigIgn", "SigBlk", "SigPnd")} == {"0" * 16}


def test_a_guest_has_the_limits_that_the_agent_was_given(agent: AgentProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for how in ({"program": "ulimit -Sn; ulimit -Hn"}, {"argv": ["sh", "-c", "ulimit -Sn; ulimit -Hn"]}):
        assert agent.run(**how).stdout.split() == [str(soft).encode(), str(hard).encode()]


def test_a_guest_has_no_controlling_terminal_and_leads_its_group(agent: AgentProcess) -> None:
    fields = agent.run(argv=["cat", "/proc/self/stat"]).stdout.decode().rpartition(")")[2].split()
    own = agent.run(argv=["sh", "-c", "echo $$; cut -d' ' -f5 /proc/$$/stat"]).stdout.split()
    assert fields[4] == "0"
    assert own[0] == own[1]


def test_a_command_that_is_started_without_privilege_runs_as_usual(unprivileged: AgentProcess) -> None:
    assert sh(unprivileged, "id -u; echo hi > f; cat f") == ["54321", "hi"]
