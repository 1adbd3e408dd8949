"""`POST /v1/batch`: every run is reported, within a share of the pool, at the pace of the reader."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.lowlevel import checkpoint

from gateway import batch
from gateway.settings import GatewaySettings
from pool.testing import must_fail
from tests.gateway.raw import connected, request
from tests.gateway.served import NODE, PYTHON, Served, serving


def run(code: str, **members: object) -> dict[str, object]:
    return {"language": "python", "code": code, **members}


async def send(served: Served, runs: Sequence[object], **headers: str) -> httpx.Response:
    return await served.http.post("/v1/batch", json={"runs": runs}, headers=headers, timeout=60.0)


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    """By index; the stream must be whole."""
    *reported, end = [line for line in lines(answer) if line["type"] != "keepalive"]
    assert end["type"] == "end"
    assert all(one["type"] == "result" for one in reported)
    counts = Counter(one["executed"] for one in reported)
    assert end["counts"]["executed"] == counts[True]
    assert end["counts"]["not_executed"] == counts[False]
    assert end["counts"]["runs"] == len(reported)
    assert sum(end["counts"]["statuses"].values()) == sum("run" in one for one in reported)
    return sorted(reported, key=lambda one: int(one["index"]))


@asynccontextmanager
async def with_share(directory: Path, *, sandboxes: int = 6, **settings: object) -> AsyncIterator[Served]:
    few = PYTHON.model_copy(update={"max_sandboxes": sandboxes})
    async with serving(directory, [few, NODE], settings=GatewaySettings.model_validate(settings)) as served:
        yield served


async def test_every_run_is_reported_once_with_its_place_and_its_name(served: Served) -> None:
    codes = ["print 0", "exit 3", "die", "print 3", "timeout"]
    runs = [run(code, timeout_s=0.05, id=f"name {index}") for index, code in enumerate(codes)]
    runs.append({"language": "node", "code": "print 5"})
    found = results(await send(served, runs))
    assert [one["index"] for one in found] == [0, 1, 2, 3, 4, 5]
    assert [one["id"] for one in found] == [*(f"name {index}" for index in range(5)), None]
    assert [one.get("run", {}).get("status") for one in found] == [
        *("succeeded", "failed", None, "succeeded", "timed_out", "succeeded")
    ]
    assert [one["executed"] for one in found] == [True] * 6
    assert found[0]["run"]["stdout"] == "0\n"
    assert (found[2]["problem"]["code"], found[2]["problem"]["retryable"]) == ("sandbox_lost", False)
    assert len({one["run"]["sandbox_id"] for one in found if "run" in one}) == 5


async def test_two_batches_of_five_hundred_keep_within_one_share(tmp_path: Path) -> None:
    async with with_share(tmp_path, sandboxes=12) as served:
        most = 0

        def look(change: object) -> None:
            nonlocal most
            most = max(most, served.pool().leased)

        served.fleet._observers = [look]

        async def ask() -> None:
            slow = [run("timeout", timeout_s=0.1) for _ in range(12)]
            found = results(await send(served, [*slow, *(run(f"print {index}") for index in range(488))]))
            assert [one["run"]["stdout"] for one in found] == [""] * 12 + [f"{index}\n" for index in range(488)]

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(ask)
        assert 2 <= most <= 6
        text = (await served.http.get("/metrics")).text
        assert 'petri_batch_runs_total{result="executed"} 1000.0' in text


async def test_a_run_is_reported_as_soon_as_it_is_over(served: Served) -> None:
    body = {"runs": [run("hang", timeout_s=60), run("print quick")]}
    async with served.http.stream("POST", "/v1/batch", json=body) as answer:
        async for line in answer.aiter_lines():
            assert json.loads(line)["index"] == 1
            break
    await served.until(lambda: served.pool().leased == 0)


async def test_all_faults_of_all_runs_are_named_at_once_and_nothing_runs(served: Served) -> None:
    runs: list[object] = [
        run("print 1", id="a"),
        run("", timeout_s=-1),
        {"language": "cobol", "code": "x"},
        run("print 1", id="a", cod="typo"),
        "print 1",
        run("print 1", id="", files=[{"path": "../x", "content": ""}]),
        run("print 1", priority="interactive"),
    ]
    answer = await send(served, runs)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [fault["field"] for fault in answer.json()["errors"]] == [
        *("runs[1].timeout_s", "runs[1].code", "runs[2].language", "runs[3].id", "runs[3].cod", "runs[4]"),
        *("runs[5].id", "runs[5].files[0].path", "runs[6].priority"),
    ]
    assert served.leases_asked_for() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "runs"),
        ({"runs": []}, "runs"),
        ({"runs": {}}, "runs"),
        ({"runs": [run("print 1")] * 1001}, "runs"),
        ({"runs": [run("print 1")], "parallel": 3}, "parallel"),
    ],
)
async def test_what_is_no_batch_is_refused(served: Served, body: object, field: str) -> None:
    answer = await served.http.post("/v1/batch", json=body)
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


async def test_a_batch_has_a_cap_of_its_own(tmp_path: Path) -> None:
    async with with_share(tmp_path, batch_body_limit_mib=2, body_limit_mib=1) as served:
        large = run("print 1", stdin="x" * (600 << 10))
        assert len(results(await send(served, [large] * 3))) == 3
        answer = await send(served, [large] * 4)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_an_idempotency_key_is_refused_rather_than_ignored(served: Served) -> None:
    answer = await send(served, [run("print 1")], **{"Idempotency-Key": "k"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_what_was_not_executed_says_so_and_why(tmp_path: Path) -> None:
    async with with_share(tmp_path, batch_wait_s=0.2) as served:
        await served.until(lambda: served.pool().ready == 2)
        served.engine.faults = must_fail("start", "no_image")
        found = results(await send(served, [run("print 1") for _ in range(5)]))
        assert sorted(one["executed"] for one in found) == [False, False, False, True, True]
        never = [one["problem"] for one in found if not one["executed"]]
        assert {problem["code"] for problem in never} <= {"pool_timeout", "pool_unavailable"}
        assert all(problem["retryable"] and problem["retry_after_s"] >= 1 for problem in never)


async def test_a_run_that_is_told_to_come_back_does_while_it_has_time(tmp_path: Path) -> None:
    none_may_wait = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 2, "max_waiting": 0})
    settings = GatewaySettings(batch_share=1.0, batch_wait_s=30.0)
    async with serving(tmp_path, [none_may_wait], settings=settings) as served:
        found = results(await send(served, [run("print 1") for _ in range(3)]))
        assert [one["executed"] for one in found] == [True] * 3
        assert served.pool().refusals["queue_full"] > 0


async def test_who_pauses_for_a_retry_lets_another_batch_have_its_place(tmp_path: Path) -> None:
    none_may_wait = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 2, "max_waiting": 0})
    async with serving(tmp_path, [none_may_wait], settings=GatewaySettings(batch_share=0.5)) as served:
        over: list[str] = []

        async def ask(name: str) -> None:
            (one,) = results(await send(served, [run("print 1")]))
            assert one["executed"]
            over.append(name)

        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as holding:
                for leased in (1, 2):
                    await served.until(lambda: served.pool().ready == 1)
                    holding.start_soon(served.run, "hang")
                    await served.until(lambda leased=leased: served.pool().leased == leased)
                tasks.start_soon(ask, "pauses")
                await served.until(lambda: served.pool().refusals["queue_full"] == 1 and "1/1 free" in slots(served))
                holding.cancel_scope.cancel()
            await served.until(lambda: served.pool().ready == 1)
            await ask("has the place meanwhile")
        assert over == ["has the place meanwhile", "pauses"]


def slots(served: Served) -> str:
    return repr(served.gateway.shares._slots["python"])


async def test_a_quiet_callers_batch_does_not_wait_for_all_of_a_noisy_ones(tmp_path: Path) -> None:
    async with with_share(tmp_path, sandboxes=2) as served:
        over: list[str] = []

        async def ask(name: str) -> None:
            (one,) = results(await send(served, [run("print 1")], Authorization=f"Bearer {name}"))
            assert one["executed"]
            over.append(name)

        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as holding:
                holding.start_soon(send, served, [run("hang", timeout_s=60)])
                await served.until(lambda: served.pool().leased == 1)
                for _ in range(30):
                    tasks.start_soon(ask, "noisy")
                await served.until(lambda: "30 waiting" in slots(served))
                tasks.start_soon(ask, "quiet")
                await served.until(lambda: "31 waiting" in slots(served))
                holding.cancel_scope.cancel()
        assert len(over) == 31
        assert over.index("quiet") <= 3


async def test_a_run_waits_for_a_place_as_long_as_for_a_sandbox(tmp_path: Path) -> None:
    async with with_share(tmp_path, sandboxes=2, batch_wait_s=0.2) as served, anyio.create_task_group() as tasks:
        tasks.start_soon(send, served, [run("hang", timeout_s=60)])
        await served.until(lambda: served.pool().leased == 1)
        with anyio.fail_after(10):
            (never,) = results(await send(served, [run("print 1")]))
        assert (never["executed"], never["problem"]["code"]) == (False, "pool_timeout")
        assert never["problem"]["retryable"] and never["problem"]["retry_after_s"] >= 1
        assert served.leases_asked_for() == 1
        tasks.cancel_scope.cancel()


async def test_batches_under_way_hold_bounded_memory_and_leave_room_for_others(tmp_path: Path) -> None:
    async with with_share(tmp_path, bodies_mib=1, body_limit_mib=1, batch_body_limit_mib=1) as served:
        body = {"runs": [run("hang", timeout_s=60, stdin="x" * 400_000)]}

        async def status(caller: str) -> int:
            async with served.http.stream("POST", "/v1/batch", json=body, headers={"X-API-Key": caller}) as answer:
                if answer.status_code != 200:
                    problem = json.loads(await answer.aread())
                    assert (problem["code"], problem["retryable"]) == ("too_many_waiting", True)
                    assert int(answer.headers["retry-after"]) >= 1
                return answer.status_code

        async with served.http.stream("POST", "/v1/batch", json=body, headers={"X-API-Key": "noisy"}):
            assert await status("noisy") == 429
            assert await status("quiet") == 200
            await served.until(lambda: len(served.gateway.bodies._held) == 1)
        await served.until(lambda: not served.gateway.bodies._held)
        assert await status("noisy") == 200


async def test_people_are_served_before_a_batch_that_waits(tmp_path: Path) -> None:
    async with with_share(tmp_path, sandboxes=2, batch_share=1.0) as served:
        served.engine.start_takes_s = 0.05
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, served, [run("print 1") for _ in range(200)])
            await served.until(lambda: served.pool().waiting >= 2)
            queued = [(await served.run("print 1")).json()["timings_ms"]["queue"] for _ in range(10)]
            tasks.cancel_scope.cancel()
        assert max(queued) < 1000, queued  # a place or two, not two hundred


async def test_a_silent_stream_says_that_it_is_alive(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "KEEPALIVE_S", 0.05)
    answer = await send(served, [run("timeout", timeout_s=0.3)])
    kinds = [line["type"] for line in lines(answer)]
    assert kinds.count("keepalive") >= 3
    assert kinds[-2:] == ["result", "end"]


async def test_a_client_that_leaves_ends_its_runs(served: Served) -> None:
    body = {"runs": [run("hang", timeout_s=60) for _ in range(20)]}
    async with served.http.stream("POST", "/v1/batch", json=body):
        await served.until(lambda: served.pool().leased == 3)
    await served.until(lambda: served.pool().leased == served.pool().waiting == 0)
    await served.until(lambda: served.attendance.running == 0)
    asked = served.leases_asked_for()
    for _ in range(100):
        await checkpoint()
    assert served.leases_asked_for() == asked
    assert (await served.run("print 1")).status_code == 200  # the share is free again


async def test_no_run_is_started_while_the_reader_is_behind(served: Served) -> None:
    printing = "\n".join([f"print {'x' * 30_000}"] * 30)  # 1.8 MB a line: stdout and output
    body = json.dumps({"runs": [run(printing) for _ in range(16)]}).encode()
    async with connected(served.port) as client:
        client.stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await client.send(request("POST", "/v1/batch", body, Content_Type="application/json"))
        before = -1
        with anyio.fail_after(20):
            while before != served.leases_asked_for() or before < 3:  # until it stands still
                before = served.leases_asked_for()
                await anyio.sleep(0.3)
        assert served.attendance.running == 1
        assert before < 12  # a few are over, their lines in sockets' buffers and hands; the rest has not begun
        assert served.pool().leased == 0  # and none of them keeps a sandbox


async def test_when_the_server_stops_every_run_is_accounted_for(served: Served) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await send(served, [run("print 0"), *(run("hang", timeout_s=60) for _ in range(9))]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await served.until(lambda: served.pool().leased == 3 and served.leases_asked_for() == 4)
        served.attendance.drain()
        served.attendance.cut_off()
    found = results(answers[0])
    assert [one["index"] for one in found] == list(range(10))
    assert found[0]["run"]["stdout"] == "0\n"
    assert {one["problem"]["code"] for one in found[1:]} == {"draining"}
    assert {one["executed"] for one in found[1:4]} >= {True}
    assert not any(one["executed"] for one in found[4:])
    assert all(one["problem"]["retryable"] is not one["executed"] for one in found[1:])
    await served.until(lambda: served.pool().leased == 0)


async def test_while_draining_what_has_not_begun_is_reported_and_what_runs_is_finished(served: Served) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await send(served, [run("timeout", timeout_s=0.3) for _ in range(9)]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await served.until(lambda: served.pool().leased == 3)
        served.attendance.drain()
        assert (await send(served, [run("print 1")])).status_code == 503
    found = results(answers[0])
    assert [one.get("run", {}).get("status") for one in found] == ["timed_out"] * 3 + [None] * 6
    assert [one["executed"] for one in found] == [True] * 3 + [False] * 6


async def test_a_batch_cancelled_by_the_server_gives_its_leases_back(served: Served) -> None:
    """What uvicorn does when its time to stop is over."""
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            with suppress(httpx.RemoteProtocolError):
                await send(served, [run("hang", timeout_s=60) for _ in range(5)])

        tasks.start_soon(ask)
        await served.until(lambda: served.pool().leased == 3)
        for task in served.server.server_state.tasks:
            task.cancel()
        await served.until(lambda: served.pool().leased == 0)
