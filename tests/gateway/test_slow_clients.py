"""Who is slow to ask, on purpose or not, is told so and closed, and keeps nobody else from being served."""

from __future__ import annotations

import signal
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from gateway import http_protocol
from gateway.settings import GatewaySettings
from pool.testing import fake_pool_daemon
from tests.gateway.launched import launched
from tests.gateway.raw import RawClient, connected, request, run
from tests.gateway.served import PYTHON, Served, serving

HEAD_S = 0.3
BODY_S = 0.4


@asynccontextmanager
async def strict(directory: Path, **settings: object) -> AsyncIterator[Served]:
    """With little time for a head and a body."""
    given = {"head_timeout_s": HEAD_S, "body_timeout_s": BODY_S, **settings}
    async with serving(directory, settings=GatewaySettings.model_validate(given)) as world:
        yield world


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with strict(tmp_path) as world:
        yield world


async def trickle(client: RawClient, whole: bytes) -> None:
    """A byte at a time, each well before anybody would call the connection idle."""

    async def bytewise() -> AsyncIterator[bytes]:
        for at in range(len(whole)):
            yield whole[at : at + 1]
            await anyio.sleep(HEAD_S / 20)

    await client.send_until_cut_off(bytewise())


async def refused(served: Served, code: str) -> int:
    text = (await served.http.get("/metrics")).text
    line = next(line for line in text.splitlines() if line.startswith(f'petri_http_refused_total{{code="{code}"}}'))
    return int(float(line.split()[-1]))


# -- heads ------------------------------------------------------------------------------------------------------------


async def test_a_head_that_trickles_is_408_and_closed(served: Served) -> None:
    started = time.monotonic()
    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(trickle, client, request(X="y" * 1000))
        problem = (await client.answer()).problem(408, "request_timeout")
        assert "head was not whole within 0.3 s" in str(problem["detail"])
        assert problem["retryable"]
        assert time.monotonic() - started >= HEAD_S
        tasks.cancel_scope.cancel()
    assert await refused(served, "request_timeout") == 1


@pytest.mark.parametrize("nothing", [b"", b"\r\n", b"\r\n\r\n\r\n"])
async def test_who_sends_nothing_is_closed_without_a_word(served: Served, nothing: bytes) -> None:
    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        if nothing:
            tasks.start_soon(trickle, client, nothing * 1000)
        await client.end()
        tasks.cancel_scope.cancel()
    assert await refused(served, "request_timeout") == 0


async def test_each_request_of_a_connection_has_the_time_of_its_own_head(served: Served) -> None:
    async with connected(served.port) as client:
        for _ in range(3):
            await client.send(request())
            assert (await client.answer()).status == 200
            await anyio.sleep(HEAD_S * 0.7)  # together more than one may take
        await client.send(request()[:20])
        (await client.only_answer()).problem(408, "request_timeout")


async def test_a_connection_that_rests_between_requests_is_left_alone(served: Served) -> None:
    async with connected(served.port) as client:
        for _ in range(2):
            await client.send(request())
            assert (await client.answer()).status == 200
            await anyio.sleep(HEAD_S + BODY_S)


async def test_line_ends_between_requests_do_not_keep_a_connection_for_ever(served: Served) -> None:
    """uvicorn takes any byte for a sign of life, and then waits for ever."""
    async with connected(served.port) as client:
        await client.send(request())
        assert (await client.answer()).status == 200
        await client.send(b"\r\n")
        await client.end()


# -- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_trickles_is_408_and_nothing_was_leased(served: Served, chunked: bool) -> None:
    framing = {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": "1000"}
    body = b"1\r\n{\r\n" + b"1\r\n \r\n" * 500 if chunked else b"{" + b" " * 998
    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        await client.send(request("POST", "/v1/run", Content_Type="application/json", X_Request_ID="mine", **framing))
        started = time.monotonic()
        tasks.start_soon(trickle, client, body)
        answer = await client.answer()
        problem = answer.problem(408, "request_timeout")
        assert "body was not whole within 0.4 s" in str(problem["detail"])
        assert answer.headers["x-request-id"] == "mine"
        assert answer.headers["connection"] == "close"
        assert time.monotonic() - started >= BODY_S * 0.9
        tasks.cancel_scope.cancel()
    assert served.leases_asked_for() == 0
    text = (await served.http.get("/metrics")).text
    assert 'petri_http_request_seconds_count{method="POST",route="/v1/run",status="408"} 1.0' in text


async def test_a_body_that_does_not_come_at_all_is_408_even_after_having_been_asked_for(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(request("POST", "/v1/run", Content_Length="10", Expect="100-continue"))
        assert (await client.answer()).status == 100
        (await client.only_answer()).problem(408, "request_timeout")


async def test_the_time_is_the_clients_and_not_that_of_the_run(served: Served) -> None:
    async with connected(served.port) as client:
        whole = run("timeout", timeout_s=HEAD_S + BODY_S + 0.2)
        await client.send(whole[:100])
        await anyio.sleep(HEAD_S * 0.7)
        await client.send(whole[100:])
        assert (await client.answer()).status == 200


async def test_a_slow_request_behind_a_good_one_does_not_take_its_answer(served: Served) -> None:
    for part in (request()[:20], run("print 2")[:-1]):
        async with connected(served.port) as client:
            await client.send(run("timeout", timeout_s=HEAD_S + BODY_S) + part)
            assert (await client.answer()).status == 200  # the run's
            await client.end()


# -- answers ----------------------------------------------------------------------------------------------------------


LARGE = run("\n".join([f"print {'x' * 30_000}"] * 33))  # 2 MB of answer: stdout and output


@asynccontextmanager
async def asking_much(served: Served, number: int) -> AsyncIterator[RawClient]:
    """A client that has a small buffer, and asks for `number` large answers."""
    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        client.stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

        async def ask() -> AsyncIterator[bytes]:
            for _ in range(number):
                yield LARGE

        tasks.start_soon(client.send_until_cut_off, ask())
        yield client
        tasks.cancel_scope.cancel()


async def test_who_does_not_take_its_answers_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "TAKE_WITHIN_S", 0.2)
    async with asking_much(served, 8):
        await served.until(lambda: "1 served" in repr(served.gateway.connections))
        await served.until(lambda: len(served.gateway.connections) == 0)


async def test_who_takes_its_answers_slowly_gets_them(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "TAKE_WITHIN_S", 0.2)
    monkeypatch.setattr(http_protocol, "TAKE_BYTES", 20_000)
    async with asking_much(served, 3) as client:
        for _ in range(3):
            while len(client.received) < 1_900_000:
                await anyio.sleep(0.02)  # two megabytes in more than two periods
                client.received += await client.stream.receive(65536)
            assert (await client.answer()).status == 200


# -- many -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def many(port: int, number: int, sent: bytes) -> AsyncIterator[list[RawClient]]:
    """That many connections, each of which has sent `sent` and no more."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(port)) for _ in range(number)]
        for client in clients:
            if sent:
                await client.send(sent)
        yield clients


@pytest.mark.parametrize(
    "sent",
    [b"", request()[:20], request("POST", "/v1/run", Content_Length="5") + b"{"],
    ids=["nothing", "head", "body"],
)
async def test_more_slow_clients_than_there_may_be_connections_keep_nobody_out(tmp_path: Path, sent: bytes) -> None:
    async with strict(tmp_path, max_connections=20, head_timeout_s=60.0, body_timeout_s=60.0) as served:
        async with many(served.port, 50, sent):
            for _ in range(3):
                async with connected(served.port) as client:
                    await client.send(run("print 1"))
                    assert (await client.answer()).status == 200
            assert len(served.gateway.connections) <= 20


async def test_those_that_make_room_are_told_why(tmp_path: Path) -> None:
    async with strict(tmp_path, max_connections=3, head_timeout_s=60.0, body_timeout_s=60.0) as served:
        async with AsyncExitStack() as stack:
            head, body, idle = [await stack.enter_async_context(connected(served.port)) for _ in range(3)]
            await idle.send(request())
            assert (await idle.answer()).status == 200
            await head.send(request()[:20])
            await body.send(request("POST", "/v1/run", Content_Length="5") + b"{")
            await served.until(lambda: "1 head, 1 idle, 1 body" in repr(served.gateway.connections))
            for victim in (head, idle, body):
                good = await stack.enter_async_context(connected(served.port))
                await good.send(run("hang", timeout_s=60))
                if victim is idle:
                    await victim.end()
                else:
                    (await victim.only_answer()).problem(503, "too_many_connections")
            await served.until(lambda: served.pool().leased == 3)


async def test_when_everybody_is_being_served_one_more_is_503_until_somebody_is_done(tmp_path: Path) -> None:
    async with strict(tmp_path, max_connections=3) as served:
        async with many(served.port, 3, run("hang", timeout_s=60)) as busy:
            await served.until(lambda: served.pool().leased == 3)
            for _ in range(5):
                async with connected(served.port) as one_more:
                    await one_more.send(request())
                    answer = await one_more.only_answer()
                    problem = answer.problem(503, "too_many_connections")
                    assert problem["retryable"]
                    assert answer.headers["retry-after"] == "1"
            await busy[0].stream.aclose()
            await served.until(lambda: len(served.gateway.connections) < 3)
            async with connected(served.port) as client:
                await client.send(request())
                assert (await client.answer()).status == 200
        assert await refused(served, "too_many_connections") == 5


async def test_every_connection_that_ends_is_forgotten(served: Served) -> None:
    endings: Sequence[tuple[bytes, bool]] = [
        (b"", False),
        (request()[:20], False),
        (request(), True),
        (request(Connection="close"), True),
        (b"garbage\r\n\r\n", True),
        (request("POST", "/nothing", Content_Length="5"), True),
        (request("POST", "/v1/run", Content_Length="5"), False),
        (run("hang", timeout_s=60), False),
    ]
    for sent, answered in endings:
        async with connected(served.port) as client:
            if sent:
                await client.send(sent)
            if answered:
                await client.answer()
    await served.until(lambda: len(served.gateway.connections) == 0)


async def test_a_thousand_slow_clients_keep_a_good_one_from_nothing() -> None:
    """With the settings that everybody has, against the gateway as a process of its own."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path = Path(directory) / "pool.sock"
        await anyio.Path(directory).chmod(0o755)
        async with fake_pool_daemon([PYTHON], path):
            await anyio.Path(path).chmod(0o777)
            async with launched({"port": 0, "pool_socket": str(path)}, [PYTHON.model_dump()]) as gateway:

                async def seconds() -> float:
                    """Of one run, over a connection of its own."""
                    started = time.perf_counter()
                    async with connected(gateway.port) as client:
                        await client.send(run("print 1"))
                        assert (await client.answer()).status == 200
                    return time.perf_counter() - started

                alone = [await seconds() for _ in range(20)]
                kinds = [b"", request()[:20], request("POST", "/v1/run", Content_Length="5") + b"{"]
                for number in range(1200):  # 200 more than there may be
                    slow = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
                    slow.sendall(kinds[number % 3])
                beside = [await seconds() for _ in range(20)]
                text = (await gateway.http.get("/metrics")).text
                assert "petri_http_connections 1000.0" in text
                # Against being shut out, not a benchmark: a client that is must wait for the deadline, 10 s.
                assert statistics.median(beside) < max(20 * statistics.median(alone), 1.0)
                gateway.process.send_signal(signal.SIGTERM)
                with anyio.fail_after(10):  # and they do not keep it from stopping either
                    assert await gateway.end() == 0
