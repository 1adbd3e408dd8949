"""The first frame, the last, and what ends a connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runners.wire import HEADER_BYTES, Frame, Kind, encode
from tests.conformance.agent_process import AgentGone, AgentProcess
from tests.conformance.conftest import StartAgent, sh_manifest


def test_the_first_frame_says_which_language_is_warm(agent: AgentProcess) -> None:
    assert agent.hello == {"protocol": 1, "agent": "0.1.0", "language": "sh", "language_version": "0.0"}


def test_what_the_host_sends_before_hello_waits_for_it(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote))
    stream = agent.start("echo early")
    agent.greeted()
    assert agent.outcome(stream).stdout == b"early\n"


def test_frames_may_arrive_byte_by_byte(agent: AgentProcess) -> None:
    message = {"argv": ["echo", "whole"], "timeout_ms": 9000, "stream_limit": 99, "output_limit": 99}
    for byte in encode(Frame(Kind.EXEC, 1, json.dumps(message).encode())):
        agent.send_bytes(bytes([byte]))
    assert agent.outcome(1).stdout == b"whole\n"


def test_a_worker_that_cannot_start_is_reported_with_its_last_words(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote, env={"DOUBLE_FAILS": "1"}))
    words = agent.last_words()
    assert words["code"] == "worker_failed"
    assert "exited with status 3" in words["message"]
    assert words["message"].endswith("second line: no such luck")
    assert agent.wait() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": ["/nosuch/python3"]}, "/nosuch/python3: no such file or directory"),
        ({"command": ["python3"]}, "must be a list that begins with an absolute path"),
        ({"language": ""}, "language is missing"),
        ({"command": ["/bin/sh", "-c", "kill -9 $$"]}, "was ended by signal 9"),
        ({"command": ["/bin/sh", "-c", "exec 3>&-; exec sleep 1000"]}, "closed its socket"),
    ],
)
def test_an_image_that_cannot_run_its_language_says_why(
    start_agent: StartAgent, changes: dict[str, object], message: str
) -> None:
    agent = start_agent(sh_manifest(**changes))
    words = agent.last_words()
    assert words["code"] == "worker_failed"
    assert message in words["message"]
    assert agent.wait() == 1


def test_a_work_directory_that_is_not_there_is_reported(agent_binary: Path, tmp_path: Path) -> None:
    with AgentProcess(agent_binary, sh_manifest(), tmp_path / "nowhere") as agent:
        assert "nowhere: no such file or directory" in agent.last_words()["message"]
        assert agent.wait() == 1


def test_a_host_that_hangs_up_ends_the_agent(agent: AgentProcess) -> None:
    agent.hang_up()
    with pytest.raises(AgentGone):
        agent.receive()
    assert agent.wait() == 0


def test_a_host_that_hangs_up_while_the_worker_boots_ends_the_agent(start_agent: StartAgent, zygote: bool) -> None:
    agent = start_agent(sh_manifest(zygote=zygote, env={"DOUBLE_HANGS": "1"}))
    agent.hang_up()
    assert agent.wait() == 0


def test_a_host_that_hangs_up_during_a_run_ends_the_run_too(agent: AgentProcess) -> None:
    agent.start("(setsid sleep 1000 &); echo started; sleep 1000", stdin=None)
    agent.until_stdout(b"started\n")
    everybody = agent.descendants()
    assert len(everybody) >= 2
    agent.hang_up()
    agent.wait()
    assert not [pid for pid in everybody if Path(f"/proc/{pid}").exists()]


def test_an_agent_whose_output_nobody_reads_any_more_ends(agent: AgentProcess) -> None:
    assert agent.process.stdout is not None
    agent.process.stdout.close()
    agent.send(Kind.STAT, 1, {"path": ""})
    assert agent.wait() == 0


def header(kind: int, stream: int, length: int) -> bytes:
    return bytes([kind]) + stream.to_bytes(4, "big") + length.to_bytes(4, "big")


def frame(kind: Kind, stream: int, payload: dict[str, object] | bytes = b"") -> bytes:
    return encode(Frame(kind, stream, payload if isinstance(payload, bytes) else json.dumps(payload).encode()))


STAT = {"path": ""}
ORDER: dict[str, object] = {"argv": ["sleep", "1000"], "timeout_ms": 9000, "stream_limit": 9, "output_limit": 9}
WITH_FILE = ORDER | {"files": [{"path": "f", "size": 3}]}

FAULTS = {
    "unknown kind": (header(0x42, 1, 0), "unknown frame kind 0x42"),
    "kind of the agent's": (header(0x84, 1, 2) + b"{}", "EXIT is not sent in this direction"),
    "payload over its limit": (header(0x06, 1, (1 << 20) + 1), "1048577 bytes is over the limit of 1048576"),
    "stream 0": (frame(Kind.STAT, 0, STAT), "STAT on stream 0"),
    "STDIN on stream 0": (frame(Kind.STDIN, 0, b"x"), "which was never opened"),
    "stream number used twice": (frame(Kind.STAT, 1, STAT) * 2, "STAT on stream 1, but 1 has been used"),
    "stream number that falls": (
        frame(Kind.STAT, 7, STAT) + frame(Kind.STAT, 6, STAT),
        "STAT on stream 6, but 7 has been used",
    ),
    "STDIN on a stream never opened": (frame(Kind.STDIN, 1, b"x"), "STDIN on stream 1, which was never opened"),
    "SIGNAL on a stream never opened": (frame(Kind.SIGNAL, 9, {"signal": 9}), "SIGNAL on stream 9"),
    "STDIN on a PUT": (
        frame(Kind.PUT, 1, {"path": "f", "size": 3}) + frame(Kind.STDIN, 1, b"x"),
        "STDIN on stream 1, which is no exec",
    ),
    "more DATA than a PUT declared": (
        frame(Kind.PUT, 1, {"path": "f", "size": 3}) + frame(Kind.DATA, 1, b"four"),
        "1 bytes more than f has",
    ),
    "more DATA than the files of an EXEC": (
        frame(Kind.EXEC, 1, WITH_FILE) + frame(Kind.DATA, 1, b"four!"),
        "2 bytes more than its files declare",
    ),
    "DATA after the files of an EXEC": (
        frame(Kind.EXEC, 1, WITH_FILE) + frame(Kind.DATA, 1, b"abc") + frame(Kind.DATA, 1, b"d"),
        "whose files are complete",
    ),
    "SIGNAL without a number": (frame(Kind.EXEC, 1, ORDER) + frame(Kind.SIGNAL, 1, {}), "a number from 1 to 64"),
    "SIGNAL that is no JSON": (frame(Kind.EXEC, 1, ORDER) + frame(Kind.SIGNAL, 1, b"9"), "SIGNAL on stream 1"),
    "65 streams open at once": (
        b"".join(frame(Kind.PUT, stream, {"path": f"f{stream}", "size": 1}) for stream in range(1, 66)),
        "PUT on stream 65, but 64 streams are open",
    ),
}


@pytest.mark.parametrize(("raw", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_protocol_ends_the_agent_with_status_70(start_agent: StartAgent, raw: bytes, message: str) -> None:
    agent = start_agent(sh_manifest()).greeted()
    agent.send_bytes(raw)
    words = agent.last_words()
    assert words["code"] == "bad_request"
    assert message in words["message"]
    assert agent.wait() == 70


def test_a_channel_that_ends_inside_a_frame_ends_the_agent(agent: AgentProcess) -> None:
    agent.send_bytes(header(0x01, 1, 100)[: HEADER_BYTES - 2])
    agent.hang_up()
    assert agent.wait() == 0


def test_frames_that_cross_with_the_end_of_their_stream_are_dropped(agent: AgentProcess) -> None:
    stream = agent.start("exit 3", stdin=None)
    assert agent.outcome(stream).exit_code == 3
    agent.send(Kind.STDIN, stream, b"late")
    agent.send(Kind.STDIN_END, stream)
    agent.send(Kind.SIGNAL, stream, {"signal": 15})
    agent.send(Kind.DATA, stream, b"late")
    assert agent.run("echo still here").stdout == b"still here\n"


def test_the_bytes_of_files_that_were_refused_are_dropped(agent: AgentProcess) -> None:
    assert agent.run("echo", files={"../up": b"12345"}).error["code"] == "bad_path"
    assert agent.put("/absolute", b"12345")["code"] == "bad_path"
    assert agent.run("echo still here").stdout == b"still here\n"


def test_stream_numbers_may_leave_gaps(agent: AgentProcess) -> None:
    agent.send(Kind.STAT, 1000, STAT)
    assert agent.answer(1000)[1]["entry"]["type"] == "dir"
