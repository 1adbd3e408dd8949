"""Workers: the same as running the file. Every program of tests/programs through Petri, and plainly in the same image.

Both see the same image, limits and mounts. Plainly is `python3 main.py`, `node main.js` or `go run main.go` in an
emptied work directory of a container that lives as long as this module.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import signal
import socket
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import httpx
import pytest

from petri import config
from pool.container_config import Owner, container_config
from runners.images import LANGUAGES
from tests.programs.cases import Case, Seen, cases

ROOT = Path(__file__).parents[2]
#: Uid of the plain containers: of no slot of any pool.
PLAIN_UID = 209_999
#: Programs at once through Petri. Boots are what takes the time, and two cores boot no faster with more.
AT_ONCE = 4

pytestmark = pytest.mark.timeout(600)  # the first test waits for the runs of all


def sendable(case: Case) -> bool:
    """Can a request carry it? JSON is text, and an empty program is refused, as is a file by the program's own name.

    The conformance tests run the others.
    """
    program = case.files[case.program]
    return bool(program) and _is_text(program) and _is_text(case.stdin) and "main.mjs" not in case.files


def _is_text(content: bytes) -> bool:
    return content.decode(errors="ignore").encode() == content


CASES = [case for language in LANGUAGES for case in cases(language) if sendable(case)]


def run_through_petri(url: str, case: Case) -> Seen:
    """`POST /v1/run`, again for as long as the pool says to come back."""
    files = [
        {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        for path, content in case.files.items()
        if path != case.program
    ]
    request = {
        "language": case.language,
        "code": case.files[case.program].decode(),
        "files": files,
        "stdin": case.stdin.decode(),
        "args": case.args,
        "env": case.env,
        "output_encoding": "base64",
    }
    with httpx.Client(base_url=url, timeout=90.0, trust_env=False) as client:
        while (answer := client.post("/v1/run", json=request)).status_code in (429, 503):
            time.sleep(float(answer.headers["Retry-After"]))
    assert answer.status_code == 200, answer.text
    run = answer.json()
    code = run["exit_code"] if run["signal"] is None else 128 + signal.Signals[run["signal"]]
    return case.seen(base64.b64decode(run["stdout"]), base64.b64decode(run["stderr"]), f"exit {code}")


class PlainContainer:
    """A container of a template's image, in which programs are run one after the other without agent or worker."""

    def __init__(self, engine: docker.DockerClient, container: str) -> None:
        self._api = engine.api
        self._container = container

    def run(self, case: Case) -> Seen:
        empty = "find /workspace /tmp -mindepth 1 -delete; tar -x"
        _, complaint, code = self._exec(["sh", "-c", empty], _tar(case.plain_files), {})
        assert code == 0, complaint
        stdout, stderr, code = self._exec(case.plain_command, case.stdin, dict(case.env))
        return case.seen(stdout, stderr, f"exit {code}")

    def _exec(self, command: list[str], stdin: bytes, env: dict[str, str]) -> tuple[bytes, bytes, int]:
        """Standard output, standard error and exit code; 128 and more where a signal ended it."""
        made = self._api.exec_create(self._container, command, stdin=True, environment=env, workdir="/workspace")["Id"]
        stream = self._api.exec_start(made, socket=True)
        sock: socket.socket = stream._sock
        feeder = threading.Thread(target=_feed, args=(sock, stdin))
        feeder.start()
        said = {1: bytearray(), 2: bytearray()}
        while header := _exactly(sock, 8):
            said[header[0]] += _exactly(sock, int.from_bytes(header[4:], "big"))
        feeder.join()
        stream.close()
        sock.close()
        code: int = self._api.exec_inspect(made)["ExitCode"]
        return bytes(said[1]), bytes(said[2]), code


def _feed(sock: socket.socket, stdin: bytes) -> None:
    try:
        sock.sendall(stdin)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # a program need not read what it is given


def _exactly(sock: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length and (piece := sock.recv(length - len(received))):
        received += piece
    return bytes(received)


def _tar(files: dict[str, bytes]) -> bytes:
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return text.getvalue()


@contextlib.contextmanager
def plain_container(language: str) -> Iterator[PlainContainer]:
    engine = docker.from_env()
    template = next(one for one in config.load(ROOT / "petri.toml").templates if one.name == language)
    name = f"plain-{language}-{uuid.uuid4().hex[:8]}"
    made = container_config(name, template, template.image, PLAIN_UID, Owner(name, name, "", ""))
    made |= {"Entrypoint": ["sleep", "infinity"], "Cmd": [], "Labels": {"petri.test": name}}
    container = engine.api.create_container_from_config(made, name)["Id"]
    try:
        engine.api.start(container)
        yield PlainContainer(engine, container)
    finally:
        engine.api.remove_container(container, force=True, v=True)
        engine.close()


#: By language and name: through Petri, plainly, and plainly once more.
Runs = dict[tuple[str, str], tuple[Future[Seen], Future[Seen], Callable[[], Future[Seen]]]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, petri_url: str) -> Iterator[Runs]:
    """Both runs of every program that was asked for, all under way from the first test on."""
    asked = [item for item in request.session.items if getattr(item, "function", None) is _THE_TEST]
    wanted: list[Case] = [item.callspec.params["case"] for item in asked]  # type: ignore[attr-defined]
    with contextlib.ExitStack() as open_until_the_end:
        enter = open_until_the_end.enter_context
        petri = enter(ThreadPoolExecutor(AT_ONCE))
        plain = {language: enter(plain_container(language)) for language in {case.language for case in wanted}}
        one_after_the_other = {language: enter(ThreadPoolExecutor(1)) for language in plain}

        def plainly(case: Case) -> Future[Seen]:
            return one_after_the_other[case.language].submit(plain[case.language].run, case)

        yield {
            (case.language, case.name): (
                petri.submit(run_through_petri, petri_url, case), plainly(case), functools.partial(plainly, case),
            )
            for case in wanted
        }  # fmt: skip
        for executor in (petri, *one_after_the_other.values()):
            executor.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language}-{case.name}")
def test_a_run_is_the_same_as_running_the_file(runs: Runs, case: Case) -> None:
    ours, plain, once_more = runs[case.language, case.name]
    if ours.result() != plain.result():
        # `docker exec` at times drops what a program printed just before its end (seen on a machine with much to do:
        # exit code 1 and no traceback). That is the reference's fault, and does not come twice.
        plain = once_more()
    assert ours.result() == plain.result()


_THE_TEST = test_a_run_is_the_same_as_running_the_file


def test_a_go_module_is_built_again_when_its_files_are_old(petri_url: str) -> None:
    # The go command then writes an index of their directory into its cache, and the image's is read-only.
    (case,) = cases("go", "several_packages")
    with httpx.Client(base_url=petri_url, timeout=90.0, trust_env=False) as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "go"}).json()
        at = f"/v1/sandboxes/{sandbox['id']}"
        files = [{"path": path, "content": content.decode()} for path, content in case.files.items()]
        age = {"command": "find . -type f -exec touch -d 2020-01-01 {} +", "files": files}
        assert client.post(f"{at}/exec", json=age).json()["exit_code"] == 0
        for _ in range(2):
            run = client.post(f"{at}/exec", json={"command": "go run main.go"}).json()
            assert run["stdout"] == "4 embedded\n\n", run
        assert client.delete(at).status_code == 204
