"""The small client against a server that cuts its answers where it likes."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from benchmarks.http_client import HttpClient

Pieces = Sequence[bytes]


@contextlib.contextmanager
def server(*answers: Pieces) -> Iterator[str]:
    """Answers one request after the other; an empty piece closes the connection."""

    def serve() -> None:
        left = iter(answers)
        with contextlib.suppress(StopIteration, OSError):
            answer = next(left)
            while True:
                connection, _ = listener.accept()
                with connection:
                    while connection.recv(65536):
                        for piece in answer:
                            connection.sendall(piece)
                        closes = not answer[-1]
                        answer = next(left)
                        if closes:
                            break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


WHOLE = b'HTTP/1.1 200 OK\r\nServer-Timing: run;dur=1.5\r\nContent-Length: 8\r\n\r\n{"a": 1}'


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 7))
def test_an_answer_may_come_in_pieces(cut: int) -> None:
    with server([WHOLE[:cut], WHOLE[cut:]]) as url, contextlib.closing(HttpClient(url)) as client:
        answer = client.request("GET", "/")
    assert (answer.status, answer.json(), answer.header("server-timing")) == (200, {"a": 1}, "run;dur=1.5")


def test_a_list_in_chunks_is_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\nA\r\n2,3,4,5,6]\r\n0\r\n\r\n"
    with server([chunked[:70], chunked[70:]]) as url, contextlib.closing(HttpClient(url)) as client:
        assert client.request("GET", "/").json() == [1, 2, 3, 4, 5, 6]


def test_a_connection_that_the_server_has_closed_is_made_anew() -> None:
    with server([WHOLE, b""], [WHOLE]) as url, contextlib.closing(HttpClient(url)) as client:
        first = client.connected()
        client.request("GET", "/")
        assert first.recv(1, socket.MSG_PEEK) == b""  # its end has come
        assert client.request("GET", "/").status == 200


def test_a_server_that_closes_within_an_answer_is_a_fault() -> None:
    with server([WHOLE[:30], b""]) as url, contextlib.closing(HttpClient(url)) as client:
        with pytest.raises(ConnectionError):
            client.request("GET", "/")
