"""What a run gets: its files, arguments, environment, directory and standard input; and what it answers with."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from runners.wire import Kind
from tests.conformance.agent_process import AgentProcess, Outcome
from tests.conformance.conftest import StartAgent, sh_manifest


@pytest.fixture
def one(start_agent: StartAgent) -> AgentProcess:
    """One agent of the quickest kind, for what does not depend on the kind."""
    return start_agent(sh_manifest()).greeted()


def test_a_program_runs_with_its_arguments_input_and_exit_code(agent: AgentProcess) -> None:
    outcome = agent.run('echo "$1-$2"; cat; echo oops >&2; exit 3', args=["a b", "ü"], stdin=b"in\n")
    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == ("a b-ü\nin\n".encode(), b"oops\n", 3)


def test_one_run_follows_another_and_finds_its_files(agent: AgentProcess) -> None:
    for number in range(5):
        assert agent.run(f"echo {number} >> log; exit {number}").exit_code == number
    assert agent.run("cat log").stdout == b"0\n1\n2\n3\n4\n"


def test_a_signal_that_ends_the_program_is_reported_instead_of_an_exit_code(agent: AgentProcess) -> None:
    outcome = agent.run("kill -SEGV $$")
    assert (outcome.exit_code, outcome.signal) == (None, 11)


def test_files_of_any_size_lie_beside_the_program_before_it_runs(one: AgentProcess) -> None:
    files = {"empty": b"", "deep/er/data.bin": bytes(range(256)) * 9000, "also-empty": b""}
    outcome = one.run("wc -c < empty; wc -c < deep/er/data.bin; wc -c < also-empty", files=files)
    assert outcome.stdout.split() == [b"0", b"2304000", b"0"]
    assert (one.workspace / "deep/er/data.bin").read_bytes() == files["deep/er/data.bin"]


def test_one_data_frame_may_hold_the_ends_of_several_files(one: AgentProcess) -> None:
    order = {"argv": ["cat", "a", "b", "c"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    one.send(Kind.EXEC, 1, order | {"files": [{"path": name, "size": 3} for name in "abc"]})
    for piece in (b"1", b"23456", b"", b"78", b"9"):
        one.send(Kind.DATA, 1, piece)
    assert one.outcome(1).stdout == b"123456789"


def test_nothing_runs_before_the_last_byte_of_the_files(one: AgentProcess) -> None:
    order = {"argv": ["touch", "ran"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    one.send(Kind.EXEC, 1, order | {"files": [{"path": "f", "size": 2}]})
    one.send(Kind.DATA, 1, b"1")
    one.send(Kind.STAT, 2, {"path": "ran"})  # answered after the frames above were obeyed
    assert one.answer(2)[1]["code"] == "not_found"
    one.send(Kind.DATA, 1, b"2")
    assert one.outcome(1).exit_code == 0
    assert (one.workspace / "ran").exists()


def test_files_get_the_mode_they_ask_for_whatever_the_umask(one: AgentProcess) -> None:
    files = [{"path": "plain", "size": 0}, {"path": "tool", "size": 0, "mode": 0o777}]
    stream = one.new_stream()
    order = {"argv": ["stat", "-c", "%a", "plain", "tool"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    one.send(Kind.EXEC, stream, order | {"files": files})
    assert one.outcome(stream).stdout.split() == [b"644", b"777"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/etc/x", "bad_path"),
        ("../x", "bad_path"),
        ("a/../../x", "bad_path"),
        ("link/x", "bad_path"),
        ("dir", "not_regular"),
    ],
)
def test_files_stay_beneath_the_work_directory(one: AgentProcess, path: str, code: str) -> None:
    (one.workspace / "dir").mkdir()
    (one.workspace / "link").symlink_to("/tmp")
    outcome = one.run("echo ran", files={path: b"x"})
    assert outcome.error["code"] == code
    assert outcome.output == b""
    assert one.run("echo fine").stdout == b"fine\n"


def test_the_environment_is_the_sandboxs_and_the_runs_and_nothing_of_the_agents(start_agent: StartAgent) -> None:
    agent = start_agent(sh_manifest(), env={"PETRI_TOKEN": "secret", "KEPT": "1", "CHANGED": "old"}).greeted()
    wanted = {"PATH": os.environ["PATH"], "HOME": str(agent.workspace), "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    wanted |= {"KEPT": "1", "CHANGED": "new", "NEW": "ü=\n"}
    for program in ({"program": "env -0"}, {"argv": ["env", "-0"]}):
        outcome = agent.run(**program, env={"CHANGED": "new", "NEW": "ü=\n"})
        seen = dict(line.split("=", 1) for line in outcome.stdout.decode().strip("\0").split("\0"))
        for of_the_shell in ("PWD", "OLDPWD", "SHLVL", "_", "DOUBLE_STARTED_WITH"):
            seen.pop(of_the_shell, None)
        assert seen == wanted


def test_cwd_is_relative_to_the_work_directory(agent: AgentProcess) -> None:
    (agent.workspace / "sub").mkdir()
    for program in ({"program": "pwd"}, {"argv": ["pwd"]}):
        assert agent.run(**program).stdout.decode() == f"{agent.workspace}\n"
        assert agent.run(**program, cwd="sub").stdout.decode() == f"{agent.workspace}/sub\n"


def test_cwd_may_be_a_directory_that_the_files_bring(one: AgentProcess) -> None:
    assert one.run(argv=["cat", "f"], files={"new/f": b"found"}, cwd="new").stdout == b"found"


@pytest.mark.parametrize(
    ("cwd", "code"), [("nowhere", "not_found"), ("file", "bad_path"), ("link", "bad_path"), ("..", "bad_path")]
)
def test_a_cwd_that_is_no_directory_beneath_is_refused(one: AgentProcess, cwd: str, code: str) -> None:
    (one.workspace / "file").touch()
    (one.workspace / "link").symlink_to("/tmp")
    assert one.run("echo ran", cwd=cwd).error["code"] == code


def test_standard_input_of_megabytes_reaches_a_program_that_reads_it_late(agent: AgentProcess) -> None:
    content = os.urandom(1 << 20) * 6
    stream = agent.start("read -r first; echo $first; cat | sha256sum", stdin=None)
    agent.send_in_pieces(Kind.STDIN, stream, b"go\n" + content)
    agent.send(Kind.STDIN_END, stream)
    assert agent.outcome(stream).stdout.split()[1].decode() == hashlib.sha256(content).hexdigest()


def test_standard_input_may_come_while_the_program_runs(agent: AgentProcess) -> None:
    stream = agent.start('while read -r line; do echo "got $line"; done; echo end', stdin=None)
    for word in (b"one", b"two"):
        agent.send(Kind.STDIN, stream, word + b"\n")
        agent.until_stdout(b"got " + word + b"\n")
    agent.send(Kind.STDIN_END, stream)
    assert agent.outcome(stream).stdout == b"end\n"


def test_standard_input_that_nobody_reads_delays_nothing(agent: AgentProcess) -> None:
    stream = agent.start("exit 0", stdin=bytes(1 << 20))
    assert agent.outcome(stream).exit_code == 0


def test_a_program_that_closes_its_standard_input_is_not_disturbed(agent: AgentProcess) -> None:
    stream = agent.start("exec <&-; echo closed; while [ ! -e go ]; do :; done; echo done", stdin=None)
    agent.until_stdout(b"closed\n")
    agent.send(Kind.STDIN, stream, b"x" * 1000)
    agent.send(Kind.STDIN, stream, b"y" * 1000)
    agent.send(Kind.STDIN_END, stream)
    assert agent.put("go", b"") == {"size": 0}
    outcome = agent.outcome(stream)
    assert (outcome.stdout, outcome.exit_code) == (b"done\n", 0)


def test_more_waiting_input_than_16_mib_ends_that_run_alone(agent: AgentProcess) -> None:
    stream = agent.start("sleep 1000", stdin=None)
    for _ in range(18):
        agent.send(Kind.STDIN, stream, bytes(1 << 20))
    outcome = agent.outcome(stream)
    assert outcome.error["code"] == "stdin_overflow"
    assert "16777216" in outcome.error["message"]
    assert agent.run("echo next").stdout == b"next\n"


def command(agent: AgentProcess, *argv: str, **order: object) -> Outcome:
    return agent.run(argv=list(argv), **order)


def test_a_command_is_looked_up_in_the_runs_path(one: AgentProcess) -> None:
    tool = one.workspace / "bin" / "mytool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho mine $*\n")
    tool.chmod(0o755)
    path = f"/nowhere:{tool.parent}"
    assert command(one, "mytool", "x", env={"PATH": path}).stdout == b"mine x\n"
    assert command(one, "mytool", env={"PATH": "bin"}).stdout == b"mine\n"
    assert command(one, "./mytool", cwd="bin").stdout == b"mine\n"
    assert command(one, "mytool").exit_code == 127


def test_args_follow_argv(one: AgentProcess) -> None:
    assert command(one, "echo", "a", args=["b"]).stdout == b"a b\n"


@pytest.mark.parametrize(
    ("argv", "code", "line"),
    [
        (["nosuch"], 127, b"nosuch: not found\n"),
        (["./nosuch", "x"], 127, b"./nosuch: not found\n"),
        (["/bin/sh/x"], 127, b"/bin/sh/x: not found\n"),
        (["./no-interpreter"], 127, b"./no-interpreter: not found\n"),
        ([""], 127, b": not found\n"),
        (["./text"], 126, b"./text: permission denied\n"),
        (["./garbage"], 126, b"./garbage: exec format error\n"),
        (["/"], 126, b"/: is a directory\n"),
        (["sh", "x" * 200_000], 126, b"sh: argument list too long\n"),
    ],
)
def test_a_command_that_cannot_be_started_is_an_outcome(
    one: AgentProcess, argv: list[str], code: int, line: bytes
) -> None:
    for name, mode, content in (
        ("text", 0o644, "x"),
        ("garbage", 0o755, "x"),
        ("no-interpreter", 0o755, "#!/nosuch\n"),
    ):
        (one.workspace / name).write_text(content)
        (one.workspace / name).chmod(mode)
    outcome = command(one, *argv)
    assert (outcome.stderr, outcome.stdout, outcome.exit_code) == (line, b"", code)
    assert [frame.kind for frame in outcome.frames] == [Kind.STDERR, Kind.EXIT]


def test_a_command_leaves_the_ready_worker_alone(agent: AgentProcess) -> None:
    before = agent.children()
    assert command(agent, "sh", "-c", "echo hi", last=True).stdout == b"hi\n"
    assert agent.children() == before
    assert agent.run("echo program").stdout == b"program\n"


def test_a_second_exec_is_refused_while_one_is_under_way(agent: AgentProcess) -> None:
    first = agent.start("echo up; read -r line", stdin=None)
    agent.until_stdout(b"up\n")
    second = agent.start("echo second", stdin=b"dropped")
    assert agent.outcome(second).error["code"] == "busy"
    agent.send(Kind.STDIN_END, first)
    assert agent.outcome(first).exit_code == 1
    assert agent.run("echo third").stdout == b"third\n"


def test_an_exec_is_refused_while_the_files_of_another_arrive(one: AgentProcess) -> None:
    order: dict[str, object] = {"argv": ["cat", "f"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    one.send(Kind.EXEC, 1, order | {"files": [{"path": "f", "size": 2}]})
    one.send(Kind.EXEC, 2, order)
    assert one.outcome(2).error["code"] == "busy"
    one.send(Kind.DATA, 1, b"ok")
    assert one.outcome(1).stdout == b"ok"


def test_an_order_of_the_wrong_form_is_refused_and_the_next_one_runs(one: AgentProcess) -> None:
    one.send(Kind.EXEC, 1, b"{")
    one.send(Kind.EXEC, 2, {"argv": ["true"], "timeout_ms": 1})
    assert one.outcome(1).error["code"] == "bad_request"
    assert one.outcome(2).error == {"code": "bad_request", "message": "stream_limit is missing"}
    one._next_stream = 3
    assert one.run("echo fine").stdout == b"fine\n"


def test_exit_tells_how_long_it_took_and_what_it_used(agent: AgentProcess) -> None:
    program = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read -r line"
    stream = agent.start(program, stdin=None)
    agent.send(Kind.STDIN_END, stream)
    message = agent.outcome(stream).exit
    assert 0 < message["cpu_us"] <= message["duration_us"] * 2
    assert 500 < message["max_rss_kib"] < 1 << 20
    assert message["timed_out"] is message["output_limit"] is False


def test_after_the_last_run_no_worker_is_prepared_until_one_is_asked_for(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote)).greeted()
    assert agent.run("echo last", last=True).stdout == b"last\n"
    assert agent.ask(Kind.STAT, path="")[1]["entry"]  # the loop has come round
    assert agent.children() == []
    assert agent.run("echo one more").stdout == b"one more\n"


def test_programs_beside_the_main_one_can_be_named(one: AgentProcess) -> None:
    order = {"program": "sub/other.sh", "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    one.send(Kind.EXEC, 1, order | {"files": [{"path": "sub/other.sh", "size": 9}]})
    one.send(Kind.DATA, 1, b"echo $0\n\n")
    one.send(Kind.STDIN_END, 1)
    assert Path(one.outcome(1).stdout.decode().strip()) == one.workspace / "sub/other.sh"
