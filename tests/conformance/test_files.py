"""PUT, GET, LIST, STAT and REMOVE: regular files and directories beneath the work directory, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.wire import Kind
from tests.conformance.agent_process import AgentProcess
from tests.conformance.conftest import StartAgent, sh_manifest

MIB = 1 << 20


@pytest.fixture
def one(start_agent: StartAgent) -> AgentProcess:
    return start_agent(sh_manifest()).greeted()


def code(answer: tuple[bytes, dict[str, object]]) -> object:
    _, message = answer
    assert "code" in message, message
    return message["code"]


@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB + 1])
def test_a_file_comes_back_as_it_was_put(one: AgentProcess, size: int) -> None:
    content = os.urandom(size)
    assert one.put("sub/dir/file.bin", content) == {"size": size}
    assert (one.workspace / "sub/dir/file.bin").read_bytes() == content
    assert one.ask(Kind.GET, path="sub/dir/file.bin", limit=size) == (content, {"size": size})


def test_put_replaces_a_file_and_sets_its_mode(one: AgentProcess) -> None:
    assert one.put("tool", b"long old content", mode=0o755) == {"size": 16}
    assert (one.workspace / "tool").stat().st_mode & 0o777 == 0o755
    assert one.put("tool", b"new") == {"size": 3}
    assert (one.workspace / "tool").read_bytes() == b"new"
    assert (one.workspace / "tool").stat().st_mode & 0o777 == 0o644


def test_a_file_is_replaced_at_once_and_never_seen_half(one: AgentProcess) -> None:
    one.put("f", b"old")
    stream = one.new_stream()
    one.send(Kind.PUT, stream, {"path": "f", "size": 6})
    one.send(Kind.DATA, stream, b"new")
    assert one.ask(Kind.GET, path="f", limit=9)[0] == b"old"
    one.send(Kind.DATA, stream, b"er!")
    assert one.answer(stream)[1] == {"size": 6}
    assert one.ask(Kind.GET, path="f", limit=9)[0] == b"newer!"
    assert [path.name for path in one.workspace.iterdir()] == ["f"]


def test_a_file_over_the_limit_is_not_sent(one: AgentProcess) -> None:
    one.put("f", b"12345")
    content, message = one.ask(Kind.GET, path="f", limit=4)
    assert (content, message) == (b"", {"code": "too_large", "message": "f has 5 bytes, the limit is 4"})


def test_a_file_that_grows_while_it_is_sent_is_cut_off(one: AgentProcess) -> None:
    one.put("f", b"1")
    stream = one.start("while :; do cat f f > g; cat g >> f; echo; done", stream_limit=0, output_limit=1 << 40)
    content, message = one.ask(Kind.GET, path="f", limit=200_000)
    assert len(content) <= 200_000
    assert message.get("code") in (None, "too_large")
    one.send(Kind.SIGNAL, stream, {"signal": 9})
    assert one.outcome(stream).signal == 9


def test_stat_tells_a_file_from_a_directory(one: AgentProcess) -> None:
    one.put("sub/a.txt", b"abc", mode=0o600)
    os.utime(one.workspace / "sub/a.txt", (1_764_000_000.25, 1_764_000_000.25))
    assert one.ask(Kind.STAT, path="sub/a.txt")[1] == {
        "entry": {
            "name": "a.txt",
            "path": "sub/a.txt",
            "type": "file",
            "size": 3,
            "mode": 0o600,
            "mtime": 1_764_000_000.25,
        }
    }
    assert one.ask(Kind.STAT, path="sub")[1]["entry"]["type"] == "dir"
    assert one.ask(Kind.STAT, path="./sub//")[1]["entry"]["path"] == "sub"
    assert one.ask(Kind.STAT, path="")[1]["entry"] | {"size": 0, "mtime": 0, "mode": 0} == {
        "name": ".", "path": ".", "type": "dir", "size": 0, "mtime": 0, "mode": 0,
    }  # fmt: skip


def test_list_shows_files_directories_and_links_by_name(one: AgentProcess) -> None:
    (one.workspace / "b").mkdir()
    (one.workspace / "a").write_bytes(b"12")
    (one.workspace / "c").symlink_to("/etc/passwd")
    os.mkfifo(one.workspace / "d")
    one.put("b/inner ü", b"")
    entries = one.ask(Kind.LIST, path="")[1]["entries"]
    assert [(entry["name"], entry["type"]) for entry in entries] == [("a", "file"), ("b", "dir"), ("c", "symlink")]
    (inner,) = one.ask(Kind.LIST, path="b")[1]["entries"]
    assert (inner["name"], inner["path"]) == ("inner ü", "b/inner ü")
    assert one.ask(Kind.LIST, path="b/inner ü")[1]["code"] == "bad_path"


def test_a_directory_too_large_for_one_frame_is_refused(one: AgentProcess) -> None:
    for number in range(4000):
        (one.workspace / f"{number:0200}").touch()
    message = one.ask(Kind.LIST, path="")[1]
    assert message["code"] == "too_large"
    assert "1048576" in message["message"]


def test_remove_takes_a_file_or_an_empty_directory(one: AgentProcess) -> None:
    one.put("sub/f", b"")
    assert one.ask(Kind.REMOVE, path="sub")[1]["code"] == "io_error"
    assert one.ask(Kind.REMOVE, path="sub/f")[1] == {}
    assert one.ask(Kind.REMOVE, path="sub/f")[1]["code"] == "not_found"
    assert one.ask(Kind.REMOVE, path="sub")[1] == {}
    assert list(one.workspace.iterdir()) == []


@pytest.mark.parametrize("kind", [Kind.GET, Kind.LIST, Kind.STAT, Kind.REMOVE, Kind.PUT])
def test_no_path_leads_out_of_the_work_directory(one: AgentProcess, kind: Kind) -> None:
    outside = one.workspace.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (one.workspace / "dirlink").symlink_to(outside)
    (one.workspace / "filelink").symlink_to(outside / "secret")
    (one.workspace / "up").symlink_to("..")
    (one.workspace / "proc").symlink_to("/proc/self/root")
    paths = ["/etc/passwd", "..", "../outside/secret", "a/../../outside", "dirlink", "dirlink/secret", "filelink",
             "up/outside/secret", "proc/etc/passwd", "x\0y", "n" * 256, "d/" * 2100]  # fmt: skip
    for path in paths:
        answer = (b"", one.put(path, b"forged")) if kind is Kind.PUT else one.ask(kind, path=path, limit=MIB)
        assert code(answer) == "bad_path", path
    assert (outside / "secret").read_text() == "secret"
    assert sorted(path.name for path in one.workspace.iterdir()) == ["dirlink", "filelink", "proc", "up"]


def test_a_link_that_a_guest_swaps_in_all_the_time_is_never_followed(one: AgentProcess) -> None:
    (one.workspace.parent / "secret").write_text("secret")
    swapping = "while :; do mkdir -p d; echo mine > d/secret; rm -rf d; ln -s .. d; rm d; done"
    stream = one.start(swapping)
    for _ in range(300):
        content, _ = one.ask(Kind.GET, path="d/secret", limit=100)
        assert content in (b"", b"mine\n")
        one.put("d/secret", b"mine\n")
    assert (one.workspace.parent / "secret").read_text() == "secret"
    one.send(Kind.SIGNAL, stream, {"signal": 9})
    one.outcome(stream)


def test_what_is_no_regular_file_is_refused_and_does_not_hang(one: AgentProcess) -> None:
    os.mkfifo(one.workspace / "fifo")
    (one.workspace / "dir").mkdir()
    for path in ("fifo", "dir"):
        assert code(one.ask(Kind.GET, path=path, limit=MIB)) == "not_regular"
        assert one.put(path, b"x")["code"] == "not_regular"
    assert code(one.ask(Kind.STAT, path="fifo")) == "not_regular"
    assert code(one.ask(Kind.REMOVE, path="fifo")) == "not_regular"
    reader = os.open(one.workspace / "fifo", os.O_RDONLY | os.O_NONBLOCK)  # writing to it would now succeed
    assert one.put("fifo", b"x")["code"] == "not_regular"
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_what_is_not_there_is_not_found(one: AgentProcess) -> None:
    for kind in (Kind.GET, Kind.LIST, Kind.STAT, Kind.REMOVE):
        assert code(one.ask(kind, path="a/b", limit=1)) == "not_found"


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (Kind.GET, {"path": "f"}),
        (Kind.GET, {"path": "f", "limit": -1}),
        (Kind.GET, {"path": 7, "limit": 1}),
        (Kind.LIST, {}),
        (Kind.STAT, {"path": None}),
        (Kind.REMOVE, {}),
        (Kind.PUT, {"path": "f"}),
        (Kind.PUT, {"path": "f", "size": -1}),
        (Kind.PUT, {"path": "f", "size": 1, "mode": 0o1777}),
    ],
)
def test_an_order_of_the_wrong_form_is_refused(one: AgentProcess, kind: Kind, order: dict[str, object]) -> None:
    stream = one.new_stream()
    one.send(kind, stream, order)
    assert code(one.answer(stream)) == "bad_request"
    one.send(kind, one.new_stream(), b"not json")
    assert code(one.answer(stream + 1)) == "bad_request"


@pytest.fixture
def small(start_agent: StartAgent, workspace: Path) -> AgentProcess:
    """An agent whose work directory holds 256 KiB and no more, as a sandbox's does on its tmpfs."""
    mount = f'mount -t tmpfs -o size=256k none "{workspace}" && exec "$@"'
    return start_agent(sh_manifest(), prefix=["unshare", "--mount", "sh", "-c", mount, "sh"]).greeted()


def test_a_full_work_directory_is_said_to_be_full(small: AgentProcess) -> None:
    assert small.put("large", b"kept") == {"size": 4}
    assert small.put("large", bytes(MIB))["code"] == "no_space"
    assert small.ask(Kind.GET, path="large", limit=MIB)[0] == b"kept"
    assert len(small.ask(Kind.LIST, path="")[1]["entries"]) == 1
    assert small.run("echo never", files={"large": bytes(MIB)}).error["code"] == "no_space"
    assert small.ask(Kind.REMOVE, path="large")[1] == {}
    assert small.run("echo fine").stdout == b"fine\n"


def test_files_go_in_and_out_while_a_program_runs(agent: AgentProcess) -> None:
    stream = agent.start("while [ ! -e go ]; do :; done; cat go; read -r line", stdin=None)
    assert agent.put("go", b"went") == {"size": 4}
    agent.until_stdout(b"went")
    assert agent.ask(Kind.GET, path="go", limit=9)[0] == b"went"
    agent.send(Kind.STDIN_END, stream)
    assert agent.outcome(stream).exit_code == 1


def test_several_files_are_on_their_way_at_once(one: AgentProcess) -> None:
    contents = {f"f{number}": os.urandom(300_000) for number in range(20)}
    putting = {}
    for path, content in contents.items():
        putting[path] = one.new_stream()
        one.send(Kind.PUT, putting[path], {"path": path, "size": len(content)})
    for half in (0, 1):
        for path, content in contents.items():
            one.send(Kind.DATA, putting[path], content[half * 150_000 : (half + 1) * 150_000])
    for stream in putting.values():
        assert one.answer(stream)[1] == {"size": 300_000}
    getting = {}
    for path in contents:
        getting[path] = one.new_stream()
        one.send(Kind.GET, getting[path], {"path": path, "limit": MIB})
    for path, content in contents.items():
        assert one.answer(getting[path]) == (content, {"size": 300_000})


def test_streams_that_are_answered_do_not_count_as_open(one: AgentProcess) -> None:
    for _ in range(200):
        assert one.ask(Kind.STAT, path="")[1]["entry"]["type"] == "dir"
