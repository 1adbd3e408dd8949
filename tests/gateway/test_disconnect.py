"""A client that goes away ends what it asked for, wherever that was; so does a server that must stop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import httpx
import pytest
from anyio.lowlevel import checkpoint

from tests.gateway.served import Served


@asynccontextmanager
async def leaving(served: Served, path: str, members: dict[str, object]) -> AsyncIterator[None]:
    """A client that posts, and at the end of the block is gone without having read anything."""
    body = json.dumps(members)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", served.port) as stream:
        await stream.send((head + body).encode())
        yield


async def requests(served: Served, status: str) -> int:
    text = (await served.http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("petri_http_request_seconds_count")]
    return sum(int(float(line.split()[-1])) for line in lines if f'status="{status}"' in line)


def hanging(**members: object) -> dict[str, object]:
    return {"language": "python", "code": "hang", **members}


async def test_leaving_ends_a_run_and_destroys_its_sandbox(served: Served) -> None:
    await served.until(lambda: served.pool().ready == 2)
    before = set(served.engine.containers)
    async with leaving(served, "/v1/run", hanging()):
        await served.until(lambda: served.pool().leased == 1)
    await served.until(lambda: len(before - set(served.engine.containers)) == 1)
    await served.until(lambda: served.attendance.running == 0)
    text = (await served.http.get("/metrics")).text
    assert 'petri_runs_total{status="cancelled",template="python"} 1.0' in text
    assert await requests(served, "499") == 1


async def test_leaving_with_half_a_body_sent_leases_nothing(served: Served) -> None:
    async with await anyio.connect_tcp("127.0.0.1", served.port) as stream:
        await stream.send(b'POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"language": ')
    with anyio.fail_after(10):
        while await requests(served, "499") == 0:
            await checkpoint()
    assert served.leases_asked_for() == 0


async def test_leaving_the_queue_gives_the_place_up(served: Served) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(6):  # all there may be
            tasks.start_soon(served.run, "hang")
        await served.until(lambda: served.pool().leased == 6)
        queued: dict[str, dict[str, object]] = {"/v1/run": hanging(), "/v1/sandboxes": {"language": "python"}}
        for path, members in queued.items():
            async with leaving(served, path, members):
                await served.until(lambda: served.pool().waiting == 1)
            await served.until(lambda: served.pool().waiting == 0)
        tasks.cancel_scope.cancel()
    await served.until(lambda: served.pool().leased == 0)


async def test_leaving_an_exec_ends_it_and_the_sandbox_can_be_used_again(served: Served) -> None:
    sandbox = await served.sandbox()
    for _ in range(3):
        async with leaving(served, f"/v1/sandboxes/{sandbox}/exec", {"code": "hang"}):
            await served.until_running(sandbox)
        with anyio.fail_after(10):
            while (await served.exec(sandbox, "print 1")).status_code == 409:
                await checkpoint()
    assert (await served.exec(sandbox, "print 2")).json()["stdout"] == "2\n"


@pytest.mark.parametrize("end", ["scope", "native"])
async def test_a_run_cancelled_by_the_server_gives_its_lease_back(served: Served, end: str) -> None:
    answers: list[httpx.Response] = []

    async def run() -> None:
        answers.append(await served.run("hang"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await served.until(lambda: served.pool().leased == 1)
        if end == "scope":
            served.attendance.drain()
            served.attendance.cut_off()
        else:  # what uvicorn does when its time to stop is over
            for task in served.server.server_state.tasks:
                task.cancel()
        await served.until(lambda: served.pool().leased == 0)
    if end == "scope":
        assert answers[0].status_code == 503
        assert (answers[0].json()["code"], answers[0].json()["retryable"]) == ("draining", False)


async def test_while_draining_what_runs_is_finished_and_nothing_new_begins(served: Served) -> None:
    sandbox = await served.sandbox()
    answers: list[httpx.Response] = []

    async def run() -> None:
        answers.append(await served.exec(sandbox, "hang", timeout_s=0.2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await served.until_running(sandbox)
        served.attendance.drain()
        refused = [
            await served.run("print 1"),
            await served.http.post("/v1/sandboxes", json={"language": "python"}),
            await served.exec(sandbox, "print 1"),
            await served.http.get("/readyz"),
        ]
        assert [(one.status_code, one.json()["code"], one.json()["retryable"]) for one in refused] == [
            (503, "draining", True)
        ] * 4
        assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
        assert (await served.http.get("/healthz")).status_code == 200
    assert answers[0].json()["status"] == "timed_out"
