"""What an engine says while it pulls or loads, and how it fails: from a server on the loop-back that speaks its API."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from runners.images import layer, store
from runners.images.steps import BuildError, Steps

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Engine(http.server.ThreadingHTTPServer):
    """Answers as a test has laid down, by the end of the path."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.let_go = threading.Event()  # of what stands still
        super().__init__(("127.0.0.1", 0), _Request)

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"tcp://127.0.0.1:{self.server_port}", version="1.41", timeout=20)


class _Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self._answer()

    def _answer(self) -> None:
        assert isinstance(self.server, Engine)
        path = self.path.partition("?")[0]
        answer = next(answer for end, answer in self.server.answers.items() if path.endswith(end))
        answer(self)
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def says(*lines: dict[str, object], whole: bool = True) -> Answer:
    """A stream of these; or the beginning of one, cut off."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.send_header("Connection", "close")  # else the client may send its next call into the end of it
        request.end_headers()
        for line in lines:
            encoded = json.dumps(line).encode() + b"\r\n"
            request.wfile.write(b"%x\r\n%s\r\n" % (len(encoded), encoded))
        if whole:
            request.wfile.write(b"0\r\n\r\n")

    return answer


def says_at_once(status: int, document: dict[str, object]) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        encoded = json.dumps(document).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(encoded)))
        request.send_header("Connection", "close")  # else the client may send its next call into the end of it
        request.end_headers()
        request.wfile.write(encoded)

    return answer


def stands_still(*lines: dict[str, object]) -> Answer:
    """Says this much, perhaps nothing, and then nothing more until the test is over."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if lines:
            says(*lines, whole=False)(request)
        assert isinstance(request.server, Engine)
        request.server.let_go.wait(20)

    return answer


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        thread = threading.Thread(target=engine.serve_forever, args=(0.01,))
        thread.start()
        yield engine
        engine.let_go.set()
        engine.shutdown()
        thread.join()


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    client = engine.client()
    yield client
    client.close()


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps("node", 5, lambda step: None, tmp_path / "logs" / "image-node.log")


def load(client: docker.DockerClient, steps: Steps, work: Path) -> str:
    with layer.writing(work / "base.tar", "key") as writer:
        writer.content("file", b"content")
    made = layer.kept(work / "base.tar", "key")
    assert made is not None
    with steps.step("handing petri/node to the engine"):
        return store.load(client, "petri/node", [made], {}, work, steps)


def pull(client: docker.DockerClient, steps: Steps) -> None:
    with steps.step("fetching node:22-slim"):
        store.pull(client, "node:22-slim", steps)


def test_what_the_engine_says_of_a_load_is_in_the_log(
    engine: Engine, client: docker.DockerClient, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_PROGRESS_S", 3600)
    engine.answers["/images/load"] = says(
        {"status": "Loading layer", "id": "1f", "progressDetail": {"current": 1_500_000, "total": 6_000_000}},
        {"status": "Loading layer", "id": "1f", "progressDetail": {"current": 6_000_000, "total": 6_000_000}},
        {"stream": "Loaded image: petri/node:latest\n"},
        {"aux": {"ID": "sha256:1"}},
    )
    engine.answers["/images/petri/node/json"] = says_at_once(200, {"Id": "sha256:1"})

    assert load(client, steps, tmp_path) == "sha256:1"

    assert steps.log.read_text().splitlines()[1:] == [
        "1f Loading layer 1.5 of 6.0 MB",
        "Loaded image: petri/node:latest",
        '{"aux": {"ID": "sha256:1"}}',
    ], "how far it is, not more often than may be"


@pytest.mark.parametrize(
    ("answer", "says_what"),
    [
        (
            says_at_once(500, {"message": "no space left on device"}),
            "the container engine failed while handing .*: no space left on device",
        ),
        (says({"error": "unexpected EOF\n"}), "the engine refused the image petri/node: unexpected EOF"),
        (says({"status": "x"}, whole=False), "the container engine failed while handing petri/node to the engine: .*"),
    ],
)
def test_a_load_that_fails_leads_to_the_log(
    engine: Engine, client: docker.DockerClient, steps: Steps, tmp_path: Path, answer: Answer, says_what: str
) -> None:
    engine.answers["/images/load"] = answer

    with pytest.raises(BuildError, match=f"^{says_what}\nthe log: {steps.log}$"):
        load(client, steps, tmp_path)


def test_what_the_engine_says_of_a_pull_is_in_the_log(
    engine: Engine, client: docker.DockerClient, steps: Steps
) -> None:
    engine.answers["/images/create"] = says(
        {"status": "Pulling from library/node", "id": "22-slim"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a1"},
        {"status": "Status: Downloaded newer image for node:22-slim"},
    )

    pull(client, steps)

    assert steps.log.read_text().splitlines()[1:] == [
        "22-slim Pulling from library/node",
        "a1 Pulling fs layer",
        "Status: Downloaded newer image for node:22-slim",
    ]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says_at_once(404, {"message": "manifest for node:22-slim not found"}), "manifest for node:22-slim not found"),
        (says({"status": "x"}, {"error": "toomanyrequests"}), "toomanyrequests"),
        (stands_still({"status": "Pulling from library/node"}), "nothing came for 0 s"),
        (stands_still(), "nothing came for 0 s"),
    ],
    ids=["refused", "failed", "stands still", "never begins"],
)
def test_a_pull_that_fails_or_stands_still_leads_to_the_log(
    engine: Engine,
    client: docker.DockerClient,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    why: str,
) -> None:
    if why.startswith("nothing came"):
        monkeypatch.setattr(store, "_STALL_S", 0.2)
    engine.answers["/images/create"] = answer

    with pytest.raises(BuildError, match=f"^the registry did not deliver node:22-slim: {why}\nthe log: {steps.log}$"):
        pull(client, steps)
