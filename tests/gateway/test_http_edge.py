"""What is not HTTP/1.1 as it should be, or too large for it, is answered by the protocol; nothing is leased for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from gateway.http_protocol import MAX_CHUNK_OVERHEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, MAX_TARGET_BYTES
from gateway.settings import GatewaySettings
from tests.gateway.raw import connected, request, run
from tests.gateway.served import Served, serving

CHUNKED = request("POST", "/v1/run", Transfer_Encoding="chunked", Content_Type="application/json")

NOT_HTTP = {
    "garbage": b"no HTTP at all\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "another version": b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "an unknown method": b"FROB /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "bare LF": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "bare CR": b"GET /healthz HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "a folded Transfer-Encoding": request("POST", "/v1/run", Transfer_Encoding="\r\n chunked") + b"0\r\n\r\n",
    "space before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "space before the first header": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "NUL in a value": request(X="a\0b"),
    "NUL in a name": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX\0: a\r\n\r\n",
    "NUL in the target": request(path="/health\0z"),
    "bytes above ASCII in the target": request(path="/h\xe9althz"),
    "Content-Length and Transfer-Encoding": request("POST", "/v1/run", Content_Length="3", Transfer_Encoding="chunked")
    + b"0\r\n\r\n",
    "Transfer-Encoding and Content-Length": request("POST", "/v1/run", Transfer_Encoding="chunked", Content_Length="3")
    + b"0\r\n\r\n",
    "two Content-Lengths": request("POST", "/v1/run", Content_Length="3\r\nContent-Length: 3") + b"abc",
    "a list of Content-Lengths": request("POST", "/v1/run", Content_Length="3, 3") + b"abc",
    "a signed Content-Length": request("POST", "/v1/run", Content_Length="+3") + b"abc",
    "a negative Content-Length": request("POST", "/v1/run", Content_Length="-3") + b"abc",
    "Content-Length in hexadecimal": request("POST", "/v1/run", Content_Length="0x3") + b"abc",
    "an empty Content-Length": b"POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n\r\n",
    "an endless Content-Length": request("POST", "/v1/run", Content_Length="9" * 30),
    "gzip as Transfer-Encoding": request("POST", "/v1/run", Transfer_Encoding="gzip, chunked") + b"0\r\n\r\n",
    "something like chunked": request("POST", "/v1/run", Transfer_Encoding="xchunked") + b"0\r\n\r\n",
    "chunked twice": request("POST", "/v1/run", Transfer_Encoding="chunked, chunked") + b"0\r\n\r\n",
    "Transfer-Encoding in 1.0": b"POST /v1/run HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # The parser would take what is its body for the next request.
    "an Upgrade with a body": request("POST", "/v1/run", run("print 1"), Connection="Upgrade", Upgrade="h2c"),
    "an Upgrade with chunks": request(
        "POST", "/v1/run", Transfer_Encoding="chunked", Connection="Upgrade", Upgrade="x"
    ),
    "a chunk that ends in LF": CHUNKED + b"2\n{}\n0\n\n",
    "a negative chunk": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk in 0x": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"f" * 17 + b"\r\n{}",
    "a chunk longer than it says": CHUNKED + b"2\r\n{ }\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_as_it_should_be_is_400_and_ends_the_connection(served: Served, sent: bytes) -> None:
    async with connected(served.port) as client:
        await client.send(sent + request())  # behind it, what must not be taken for a request
        (await client.only_answer()).problem(400, "invalid_http")
    assert served.leases_asked_for() == 0
    text = (await served.http.get("/metrics")).text
    assert 'petri_http_refused_total{code="invalid_http"} 1.0' in text
    assert 'status="200"' not in text


async def test_the_same_request_is_understood_in_whatever_pieces_it_comes(served: Served) -> None:
    whole = run("print é") + CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n" + request()
    async with connected(served.port) as client:
        await client.send(*(whole[at : at + 1] for at in range(len(whole))))
        statuses = [(await client.answer()).status for _ in range(3)]
    assert statuses == [200, 400, 200]


# -- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 10])
async def test_a_target_too_long_is_414(served: Served, pieces: int) -> None:
    for length, status in ((MAX_TARGET_BYTES, 404), (MAX_TARGET_BYTES + 1, 414)):
        sent = request(path="/".ljust(length, "x"))
        size = len(sent) // pieces
        async with connected(served.port) as client:
            await client.send(*(sent[at : at + size] for at in range(0, len(sent), size)))
            if status == 404:
                (await client.answer()).problem(404, "not_found")
            else:
                (await client.only_answer()).problem(414, "uri_too_long")


async def test_too_many_headers_are_431(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(request(**{f"x{n}": "y" for n in range(MAX_HEADERS - 1)}))
        assert (await client.answer()).status == 200
        await client.send(request(**{f"x{n}": "y" for n in range(MAX_HEADERS)}))
        (await client.only_answer()).problem(431, "headers_too_large")
    async with connected(served.port) as client:  # not even kept until their end has come
        await client.send(b"GET /healthz HTTP/1.1\r\n" + b"a:\r\n" * 100_000)
        (await client.only_answer()).problem(431, "headers_too_large")


@pytest.mark.parametrize("pieces", [1, 2, 40])
@pytest.mark.parametrize("what", ["one header", "many headers"])
async def test_a_head_too_large_is_431_in_whatever_pieces_it_comes(served: Served, pieces: int, what: str) -> None:
    limit = 32 << 10
    for surplus, status in ((0, 200), (1, 431)):
        room = limit + surplus - len(request()) - len("x: \r\n")
        headers = {"x": "y" * room}
        if what == "many headers":
            headers = {f"x{n:02}": "y" * 300 for n in range(90)}
            headers["x"] = "y" * (room - 90 * 307)
        sent = request(**headers)
        assert len(sent) == limit + surplus
        size = len(sent) // pieces
        async with connected(served.port) as client:
            await client.send(*(sent[at : at + size] for at in range(0, len(sent), size)))
            if status == 200:
                assert (await client.answer()).status == 200
            else:
                (await client.only_answer()).problem(431, "headers_too_large")


async def test_the_largest_head_is_a_setting(tmp_path: Path) -> None:
    async with serving(tmp_path, settings=GatewaySettings(head_limit_kib=1)) as served:
        answer = await served.http.get("/healthz", headers={"X": "y" * 1024})
        assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")
        assert "1024 bytes" in answer.json()["detail"]


async def test_a_head_without_end_is_refused_while_it_comes(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "
        for _ in range(2000):
            yield b"y" * 10_000

    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.send_until_cut_off, endless())
        (await client.answer()).problem(431, "headers_too_large")
        tasks.cancel_scope.cancel()


# -- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_body_too_large_is_refused_before_any_of_it_is_asked_for(served: Served) -> None:
    for path in ("/v1/run", "/v1/sandboxes"):
        async with connected(served.port) as client:
            head = request("POST", path, Content_Length=str(9 << 20), Expect="100-continue")
            await client.send(head)
            (await client.only_answer()).problem(413, "body_too_large")  # first, with no 100 before it


async def test_who_sends_a_body_too_large_without_asking_still_gets_the_answer(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(request("POST", "/v1/run", b" " * (20 << 20)))  # all of it, and only then reads
        (await client.only_answer()).problem(413, "body_too_large")


async def test_a_chunked_body_too_large_is_refused_as_soon_as_it_is(served: Served) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with connected(served.port) as client:
        await client.send(CHUNKED, *[chunk] * 128)  # 8 MiB, and there it stops: the answer cannot wait for the rest
        with anyio.move_on_after(0.2):
            raise AssertionError(await client.answer())
        await client.send(b"1\r\n ")
        (await client.only_answer()).problem(413, "body_too_large")
    assert served.leases_asked_for() == 0


async def test_who_asks_first_is_told_to_go_on(served: Served) -> None:
    body = json.dumps({"language": "python", "code": "print 1"}).encode()
    async with connected(served.port) as client:
        await client.send(request("POST", "/v1/run", body, Expect="100-continue")[: -len(body)])
        assert (await client.answer()).status == 100
        await client.send(body)
        assert json.loads((await client.answer()).body)["stdout"] == "1\n"


@pytest.mark.parametrize("what", ["extensions", "trailers", "one trailer"])
async def test_a_body_that_never_gets_on_is_refused(served: Served, what: str) -> None:
    start = {"extensions": b"2;", "trailers": b"0\r\n", "one trailer": b"0\r\nX: "}[what]
    more = {"extensions": b"y" * 1000, "trailers": b"X: y\r\n" * 200, "one trailer": b"y" * 1000}[what]
    pieces = 2 * MAX_CHUNK_OVERHEAD_BYTES // len(more)

    async def endless() -> AsyncIterator[bytes]:
        yield CHUNKED + start
        for _ in range(pieces):
            yield more

    async with connected(served.port) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.send_until_cut_off, endless())
        (await client.answer()).problem(400, "invalid_http")
        tasks.cancel_scope.cancel()


async def test_what_follows_a_body_does_not_become_one_of_the_headers(served: Served) -> None:
    async with connected(served.port) as client:
        chunks = b"2\r\n{}\r\n0\r\nX-Request-ID: smuggled\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n"
        await client.send(CHUNKED + chunks)
        answer = await client.answer()
        answer.problem(400, "invalid_request")  # of what `{}` lacks
        assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["/nothing", "/v1/sandboxes/sb_x/exec", "/healthz"])
async def test_an_answer_given_before_its_request_is_whole_is_the_connections_last(served: Served, path: str) -> None:
    async with connected(served.port) as client:
        await client.send(request("POST", path, Content_Length="500") + b"only a part")
        assert (await client.only_answer()).status in (404, 405)


async def test_a_refused_request_that_was_whole_leaves_its_connection_open(served: Served) -> None:
    async with connected(served.port) as client:
        for sent, status in ((request("POST", "/nothing", b"x"), 404), (run(""), 400), (request(), 200)):
            await client.send(sent)
            assert (await client.answer()).status == status


# -- versions, and several requests at once ---------------------------------------------------------------------------


async def test_http_1_0_is_answered_and_closed(served: Served) -> None:
    for head in (b"GET /healthz HTTP/1.0\r\n\r\n", b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"):
        async with connected(served.port) as client:
            await client.send(head)
            assert (await client.only_answer()).status == 200
    body = run("print 1").partition(b"\r\n\r\n")[2]
    async with connected(served.port) as client:  # which knows no 100
        await client.send(b"POST /v1/run HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        await client.send(body)
        assert (await client.only_answer()).status == 200


async def test_requests_sent_ahead_are_answered_in_their_order(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(run("print 1") + request(path="/nothing") + run("print 2") + request("HEAD") + request())
        assert json.loads((await client.answer()).body)["stdout"] == "1\n"
        assert (await client.answer()).status == 404
        assert json.loads((await client.answer()).body)["stdout"] == "2\n"
        assert (await client.answer(to_head=True)).status == 200
        assert (await client.answer()).status == 200


async def test_too_many_requests_sent_ahead_end_the_connection_behind_those_that_were_taken(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(request() * 5000)
        taken = [await client.answer() for _ in range(1 + MAX_PIPELINED)]
        assert {answer.status for answer in taken} == {200}
        assert [answer.headers.get("connection") for answer in taken] == [None] * MAX_PIPELINED + ["close"]
        await client.end()


@pytest.mark.parametrize("faulty", [NOT_HTTP["garbage"], NOT_HTTP["no Host"], NOT_HTTP["a chunk in 0x"]])
async def test_a_fault_behind_a_good_request_does_not_take_its_answers_place(served: Served, faulty: bytes) -> None:
    async with connected(served.port) as client:
        await client.send(run("print 1") + faulty)
        answer = await client.only_answer()
        assert json.loads(answer.body)["stdout"] == "1\n"


async def test_who_sends_ahead_and_leaves_ends_its_run_too(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(run("hang", timeout_s=60) + request())
        await served.until(lambda: served.pool().leased == 1)
    await served.until(lambda: served.pool().leased == 0)


async def test_nothing_behind_a_last_request_is_carried_out(served: Served) -> None:
    async with connected(served.port) as client:
        await client.send(request(Connection="close") + run("print 1"))
        assert (await client.only_answer()).status == 200
    assert served.leases_asked_for() == 0


@pytest.mark.parametrize("wish", ["h2c", "websocket", "TLS/1.0"])
async def test_a_wish_to_upgrade_is_ignored(served: Served, wish: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": wish}
    async with connected(served.port) as client:
        await client.send(request(**upgrade) + request(path="/nothing", **upgrade) + request())
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]
        await client.send(request())
        assert (await client.answer()).status == 200
