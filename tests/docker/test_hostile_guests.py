"""A guest that misbehaves gets its own outcome, exactly; its sandbox is destroyed; the next run notices nothing."""

from __future__ import annotations

import base64
import time

import pytest

from tests.docker.conftest import eventually

PRINTS_WITHOUT_END = {
    "python": "while True: print('x' * 1000)",
    "node": "const s = 'x'.repeat(1000); while (true) require('fs').writeSync(1, s)",
    "go": 'package main\nimport ("os"; "strings")\n'
    'func main() { b := []byte(strings.Repeat("x", 1000)); for { os.Stdout.Write(b) } }',
}
NEVER_ENDS = {
    "python": "import signal\nfor s in (15, 2, 1): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "node": "process.on('SIGTERM', () => {}); while (true) {}",
    "go": "package main\nfunc main() { for {} }",
}
EATS_MEMORY = {
    "python": "a = []\nwhile True: a.append(bytearray(8 << 20))",
    "node": "const a = []; while (true) a.push(Buffer.alloc(8 << 20, 1))",
    "go": "package main\nvar a [][]byte\n"
    "func main() { for { b := make([]byte, 8<<20); for i := range b { b[i] = 1 }; a = append(a, b) } }",
}
#: Pipes and files hold what memory no process owns; then many programs smaller than the agent take the rest.
HAS_THE_AGENT_KILLED = r"""
import contextlib, fcntl, os
with open("/proc/self/oom_score_adj", "w") as score:
    score.write("500")  # the agent's own
with contextlib.suppress(OSError):  # there is an end to a user's pages of pipes
    for _ in range(100):
        reading, writing = os.pipe2(os.O_NONBLOCK)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.set_inheritable(reading, True)
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, bytes(1 << 16)): pass
fill = "for place in /workspace /tmp /dev/shm; do cat /dev/zero >$place/x; done"
many = "for i in $(seq 35); do dd if=/dev/zero of=/dev/null bs=1500K & done; wait"
os.execv("/bin/sh", ["sh", "-c", f"{fill}; {many}"])
"""
FORGES_FRAMES = r"""
import os, struct
frame = struct.pack(">BII", 0x84, 1, 2) + b"{}"
for fd in range(3, 64):
    try: os.write(fd, frame)
    except OSError: pass
for path in ("/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/mem", "/proc/1/environ"):
    for mode in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.open(path, mode)
            print("opened", path)
        except OSError:
            pass
os.write(1, frame)
"""


@pytest.fixture(autouse=True)
def the_next_run_is_unaffected(live):
    yield
    answer = live.run("python", "print('fine')")
    assert (answer["status"], answer["output"]) == ("succeeded", "fine\n")
    eventually(lambda: answer["sandbox_id"] not in live.containers(), "its container is removed")


def destroyed(live, answer: dict) -> None:
    eventually(lambda: answer["sandbox_id"] not in live.containers(), "the sandbox's container is removed")


@pytest.mark.parametrize("language", PRINTS_WITHOUT_END)
def test_a_guest_that_prints_without_end_is_killed_at_the_output_limit(live, language):
    answer = live.run(language, PRINTS_WITHOUT_END[language])
    assert (answer["status"], answer["error"]["kind"]) == ("output_limit", "limit")
    assert answer["stdout_truncated"]
    assert len(answer["stdout"]) == 1 << 20
    destroyed(live, answer)


@pytest.mark.parametrize("language", NEVER_ENDS)
def test_a_guest_that_never_ends_is_timed_out(live, language):
    timeout_s = 3.0 if language == "go" else 0.5  # go has to compile first
    started = time.monotonic()
    answer = live.run(language, NEVER_ENDS[language], timeout_s=timeout_s)
    assert time.monotonic() - started < timeout_s + 3
    assert (answer["status"], answer["error"]["kind"]) == ("timed_out", "limit")
    assert (answer["exit_code"], answer["signal"]) == (None, "SIGKILL")
    destroyed(live, answer)


@pytest.mark.parametrize("language", EATS_MEMORY)
def test_a_guest_that_eats_its_memory_is_out_of_memory(live, language):
    answer = live.run(language, EATS_MEMORY[language])
    assert (answer["status"], answer["error"]["kind"]) == ("oom", "limit"), answer
    destroyed(live, answer)


def test_a_guest_that_has_the_agent_killed_is_out_of_memory_with_its_sandbox(live):
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "python"}).headers["Location"]
        answer = client.post(f"{sandbox}/exec", json={"code": HAS_THE_AGENT_KILLED}).json()
        assert (answer["status"], answer["signal"], answer["error"]["kind"]) == ("oom", "SIGKILL", "limit"), answer
        gone = client.post(f"{sandbox}/exec", json={"code": "print()"})
        assert (gone.status_code, gone.json()["reason"]) == (410, "oom")
    destroyed(live, answer)


#: Datagrams that nobody reads, to oneself: buffers that no process owns.
FILLS_SOCKETS = """
import contextlib, socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setblocking(False)
kept = []
for _ in range(100):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    receiver.bind(("127.0.0.1", 0))
    kept.append(receiver)
    with contextlib.suppress(OSError):
        for _ in range(120): sender.sendto(bytes(65_000), receiver.getsockname())
held = 0
for receiver in kept:
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True: held += len(receiver.recv(65_536))
print(held >> 20)
"""


def test_a_guest_cannot_keep_more_in_sockets_than_a_sandbox_may_have(live):
    answer = live.run("python", FILLS_SOCKETS)
    assert answer["status"] in ("succeeded", "oom"), answer  # the latter where sockets count as memory
    assert answer["status"] == "oom" or int(answer["stdout"]) <= 32  # without a bound: 400 and more


def test_a_guest_cannot_ask_for_another_line_discipline(live):
    """Each number is a module of the kernel's. Everything else that a terminal can do, it can."""
    asks = """
import fcntl, os, pty, struct
main, terminal = os.openpty()
print(os.ttyname(terminal).startswith("/dev/pts/"), os.get_terminal_size(terminal).lines)
for discipline in (0, 3, 13, 21, 27):
    try:
        fcntl.ioctl(terminal, 0x5423, struct.pack("i", discipline))
    except PermissionError:
        continue
    print("took", discipline)
"""
    assert live.run("python", asks)["output"] == "True 0\n"


def test_a_child_that_eats_the_memory_is_told_from_a_plain_failure(live):
    child = "a = []\nwhile True: a.append(bytearray(8 << 20))"
    eats = f"import subprocess, sys\nsys.exit(subprocess.run([sys.executable, '-c', {child!r}]).returncode != 0)"
    assert live.run("python", eats)["status"] == "oom"
    assert live.run("python", "import os; os.kill(os.getpid(), 9)")["status"] == "failed"


def test_a_guest_that_signals_everything_it_can_ends_itself_only(live):
    everybody = "import os, subprocess\nsubprocess.Popen(['sleep', '60'])\nos.kill(-1, 9)\nprint('spares the caller')"
    assert live.run("python", everybody)["output"] == "spares the caller\n"
    answer = live.run("python", "import os\nfor s in (9, 15, 19, 11): os.kill(os.getppid(), s)\nprint('parent lives')")
    assert (answer["status"], answer["stdout"]) == ("succeeded", "parent lives\n")
    answer = live.run("python", "import os\nos.kill(0, 9)")
    assert (answer["status"], answer["signal"]) == ("failed", "SIGKILL")


@pytest.mark.parametrize("language", ["python", "node", "go"])
def test_a_guest_that_shuts_the_work_directory_spoils_no_later_exec(live, language):
    hello = {
        "python": "print('fine')",
        "node": "console.log('fine')",
        "go": 'package main\nfunc main() { println("fine") }',
    }
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": language}).headers["Location"]
        for shut in ("chmod 000 .", "chmod 000 /workspace; rm -rf /workspace", "exec chmod 111 ."):
            assert client.post(f"{sandbox}/exec", json={"command": shut}).status_code == 200
            answer = client.post(f"{sandbox}/exec", json={"code": hello[language]}).json()
            assert (answer.get("status"), answer.get("output")) == ("succeeded", "fine\n"), answer
            assert client.post(f"{sandbox}/exec", json={"command": "pwd"}).json()["output"] == "/workspace\n"
        assert client.delete(sandbox).status_code == 204


@pytest.mark.parametrize("left", ["mkdir main.py", "mkfifo main.py", "ln -s /etc/passwd main.py"])
def test_what_a_guest_leaves_in_the_programs_place_is_named_and_never_followed(live, left):
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "python"}).headers["Location"]
        assert client.post(f"{sandbox}/exec", json={"command": left}).json()["status"] == "succeeded"
        answer = client.post(f"{sandbox}/exec", json={"code": "print(1)"})
        assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, ["code"]), answer.text
        client.post(f"{sandbox}/exec", json={"command": "rm -r main.py"})
        assert client.post(f"{sandbox}/exec", json={"code": "print(1)"}).json()["output"] == "1\n"
        client.delete(sandbox)


def test_a_guest_that_stops_itself_is_timed_out(live):
    answer = live.run("python", "import os, signal\nos.kill(0, signal.SIGSTOP)", timeout_s=0.5)
    assert answer["status"] == "timed_out"


def test_a_guest_that_closes_its_descriptors_ends_as_it_ended(live):
    answer = live.run("python", "import os\nprint('hi', flush=True)\nos.closerange(0, 256)\nos._exit(5)")
    assert (answer["status"], answer["exit_code"], answer["stdout"]) == ("failed", 5, "hi\n")


def test_a_guest_cannot_forge_frames(live):
    answer = live.run("python", FORGES_FRAMES, output_encoding="base64")
    assert answer["status"] == "succeeded"
    assert base64.b64decode(answer["stdout"]) == b"\x84\x00\x00\x00\x01\x00\x00\x00\x02{}"


def test_a_daemon_that_keeps_output_open_does_not_hold_the_answer(live):
    daemon = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for s in range(1, 32):
            try: signal.signal(s, signal.SIG_IGN)
            except OSError: pass
        while True: time.sleep(60)
    os._exit(0)
print("main is done")
"""
    started = time.monotonic()
    answer = live.run("python", daemon)
    assert time.monotonic() - started < 3
    assert (answer["status"], answer["stdout"]) == ("succeeded", "main is done\n")
    destroyed(live, answer)


def test_daemons_do_not_outlive_their_exec_in_a_session(live):
    with live.client() as client:
        at = f"/v1/sandboxes/{client.post('/v1/sandboxes', json={'language': 'python'}).json()['id']}"
        client.post(f"{at}/exec", json={"command": "setsid sleep 1000 & setsid sleep 1000 & echo ok"})
        count = """
import os
def command_line(pid):
    try: return open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError: return b""
print(sum(b"sleep" in command_line(pid) for pid in os.listdir("/proc") if pid.isdigit()))
"""
        assert client.post(f"{at}/exec", json={"code": count}).json()["stdout"] == "0\n"
        client.delete(at)


def test_a_fork_bomb_stays_in_its_sandbox(live):
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    answer = live.run("python", bomb, timeout_s=1.0)
    assert answer["status"] == "timed_out"
    destroyed(live, answer)


def test_a_full_disk_is_the_guests_own_error(live):
    fill = "import errno\ntry:\n    with open('big', 'wb') as f:\n        while True: f.write(bytes(1 << 20))\n"
    fill += "except OSError as e: print(errno.errorcode[e.errno])"
    assert live.run("python", fill)["stdout"] == "ENOSPC\n"


@pytest.mark.parametrize("language", ["python", "node", "go"])
def test_a_program_in_a_directory_that_was_shut_does_not_run(live, language):
    hello = {"python": "print('ran')", "node": "console.log('ran')", "go": 'package main\nfunc main() { print("ran") }'}
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": language}).headers["Location"]
        client.post(f"{sandbox}/exec", json={"command": "mkdir shut; chmod 000 shut"})
        answer = client.post(f"{sandbox}/exec", json={"code": hello[language], "cwd": "shut"}).json()
        assert answer.get("status") != "succeeded", answer
        assert "ran" not in answer.get("stdout", ""), answer
        client.delete(sandbox)
