"""Whatever answers at the engine's address, the pool has one kind of fault to handle."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import anyio
import pytest

from pool.engine import EngineError
from pool.engine_api import Address, Connection, EngineApi


@pytest.fixture
def answering(tmp_path) -> Iterator[object]:
    """`answering(bytes)` is the address of something that answers one connection with them."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.listen()
    threads = []

    def start(answer: bytes) -> Address:
        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return Address(f"unix://{tmp_path}/sock")

    yield start
    for thread in threads:
        thread.join(5)
    listener.close()


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        http(b"<html>It works!</html>"),
        http(b""),
        http(b"[]"),
        http(b"{}"),
        http(b'{"ApiVersion": 1}'),
        http(b'{"ApiVersion": "latest"}'),
        http(b"no", b"500 Internal Server Error"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
async def test_what_is_no_engine_is_an_engine_error(answering, answer):
    with pytest.raises(EngineError):
        await EngineApi.connect(answering(answer), 5)


async def test_an_engine_is_asked_in_the_older_of_both_versions(answering):
    api, facts = await EngineApi.connect(answering(http(b'{"ApiVersion": "1.41", "Version": "20.10"}')), 5)
    assert (repr(api).endswith("/v1.41>"), facts["Version"]) == (True, "20.10")


async def test_an_answer_that_was_given_up_is_not_taken_for_the_next_ones(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.listen()
    given_up = threading.Event()

    def serve() -> None:
        first, _ = listener.accept()
        with first:
            first.recv(65536)
            given_up.wait(5)
            with contextlib.suppress(OSError):  # nobody is there any more, and that is what is wanted
                first.sendall(http(b'{"which": "first"}'))
                listener.settimeout(5)
            second, _ = listener.accept()
            with second:
                second.recv(65536)
                second.sendall(http(b'{"which": "second"}'))

    thread = threading.Thread(target=serve)
    thread.start()
    with listener, contextlib.closing(Connection(Address(f"unix://{tmp_path}/sock"), "", 5.0)) as connection:
        with anyio.move_on_after(0.05):
            await connection.get("first")
        given_up.set()
        assert await connection.get("second") == {"which": "second"}
        await anyio.to_thread.run_sync(thread.join)
