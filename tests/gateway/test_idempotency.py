"""`Idempotency-Key`: what is sent again is answered again and not carried out again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import Response

from gateway import idempotency
from gateway.problems import SandboxLost
from gateway.settings import GatewaySettings
from tests.gateway.served import PYTHON, Served, serving


async def run(served: Served, code: str, key: str = "k", token: str = "", **members: object) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = {"language": "python", "code": code, **members}
    return await served.http.post("/v1/run", json=body, headers=headers)


async def test_the_same_key_and_body_get_the_same_answer_and_nothing_runs_again(served: Served) -> None:
    first = await run(served, "print 1")
    again = await run(served, "print 1")
    assert (again.status_code, again.content) == (200, first.content)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["server-timing"] == first.headers["server-timing"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert again.headers["content-length"] == first.headers["content-length"]
    assert served.leases_asked_for() == 1


async def test_a_sandbox_is_created_once(served: Served) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"language": "python"}
    first, again = [await served.http.post("/v1/sandboxes", json=body, headers=headers) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert first.headers["location"] == again.headers["location"]
    assert len((await served.http.get("/v1/sandboxes")).json()["sandboxes"]) == 1


async def test_another_body_is_409(served: Served) -> None:
    await run(served, "print 1")
    answer = await run(served, "print 2")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert served.leases_asked_for() == 1


async def test_a_key_belongs_to_one_caller_and_one_path(served: Served) -> None:
    outputs = [(await run(served, f"print {token}", token=token)).json()["stdout"] for token in ("a", "b", "")]
    assert outputs == ["a\n", "b\n", "\n"]
    answer = await served.http.post("/v1/sandboxes", json={"language": "python"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201


async def test_who_comes_while_the_first_runs_waits_for_its_answer(served: Served) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await run(served, "timeout", timeout_s=0.3))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await served.until(lambda: served.attendance.running == 5)
        assert (await run(served, "print 2")).status_code == 409
    assert len({answer.content for answer in answers}) == 1
    assert served.leases_asked_for() == 1


async def test_a_run_that_failed_by_its_own_doing_is_an_answer_like_any(served: Served) -> None:
    first, again = [await run(served, "exit 3") for _ in range(2)]
    assert (again.json()["exit_code"], again.content) == (3, first.content)


async def test_where_code_may_have_run_the_failure_is_the_answer(served: Served) -> None:
    first, again = [await run(served, "die") for _ in range(2)]
    assert (first.status_code, again.status_code) == (502, 502)
    assert again.content == first.content
    assert served.leases_asked_for() == 1


async def test_where_nothing_ran_the_key_is_free_again(tmp_path: Path) -> None:
    tight = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "max_waiting": 0})
    async with serving(tmp_path, [tight]) as served:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            assert (await run(served, "print 1")).status_code == 429
            tasks.cancel_scope.cancel()
        await served.until(lambda: served.pool().ready == 1)
        assert (await run(served, "")).status_code == 400
        answer = await run(served, "print 2")  # another body: the first request has left nothing behind
        assert (answer.status_code, answer.json()["stdout"]) == (200, "2\n")


async def test_a_sandbox_that_was_lost_before_anything_was_sent_to_it_frees_the_key(served: Served) -> None:
    scope = {"type": "http", "path": "/v1/run", "headers": [(b"idempotency-key", b"k"), (b"host", b"localhost")]}
    asked = 0

    async def carry_out(begun: idempotency.Begun) -> Response:
        nonlocal asked
        asked += 1
        begun.set()
        raise SandboxLost("it died", ran=asked == 3)

    for _ in range(3):
        with pytest.raises(SandboxLost):
            await served.gateway.idempotency.once(Request(scope), b"{}", carry_out)
    answer = await served.gateway.idempotency.once(Request(scope), b"{}", carry_out)
    assert (answer.status_code, asked) == (502, 3)


async def test_who_waited_for_one_that_was_refused_is_refused_with_it(tmp_path: Path) -> None:
    tight = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "wait_s": 0.3})
    async with serving(tmp_path, [tight]) as served:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await run(served, "print 1"))

        async with anyio.create_task_group() as holding:
            holding.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(ask)
                await served.until(lambda: served.attendance.running == 6)
            assert served.leases_asked_for() == 2  # nobody waited after another
            assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "pool_timeout")] * 5
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
            assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False] + [True] * 4
            text = (await served.http.get("/metrics")).text
            assert 'petri_idempotent_requests_total{result="failed"} 4.0' in text
            holding.cancel_scope.cancel()
        await served.until(lambda: served.pool().ready == 1)
        assert (await run(served, "print 2")).json()["stdout"] == "2\n"  # the key is free


async def test_the_bodies_of_those_who_wait_take_bounded_memory(tmp_path: Path) -> None:
    settings = GatewaySettings(bodies_mib=1, body_limit_mib=1, batch_body_limit_mib=1)
    async with serving(tmp_path, settings=settings) as served:
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await run(served, "hang", stdin="x" * 400_000, timeout_s=60)).status_code)

        async with anyio.create_task_group() as waiting:
            async with anyio.create_task_group() as first:
                first.start_soon(ask)
                under_way = served.gateway.idempotency._under_way
                await served.until(lambda: any(entry.begun.is_set for entry in under_way.values()))
                waiting.start_soon(ask)
                await served.until(lambda: served.attendance.running == 2)
                refused = await run(served, "hang", stdin="x" * 400_000, timeout_s=60)
                assert (refused.status_code, refused.json()["code"]) == (429, "too_many_waiting")
                first.cancel_scope.cancel()
        assert answers == [409]
        assert not served.gateway.bodies._held


async def test_who_waited_for_one_that_did_not_run_takes_its_place(tmp_path: Path) -> None:
    tight = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "wait_s": 60.0})
    async with serving(tmp_path, [tight]) as served:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await run(served, "print 1"))

        async with anyio.create_task_group() as tasks, anyio.create_task_group() as holding:
            holding.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            async with anyio.create_task_group() as first:
                first.start_soon(ask)
                await served.until(lambda: served.pool().waiting == 1)
                tasks.start_soon(ask)
                await served.until(lambda: served.attendance.running == 3)
                first.cancel_scope.cancel()  # its client leaves; nothing had begun
            await served.until(lambda: "2 running" in repr(served.attendance) and served.pool().waiting == 1)
            holding.cancel_scope.cancel()
        assert [answer.json()["stdout"] for answer in answers] == ["1\n"]


@pytest.mark.parametrize("how", ["leaves", "native"])
async def test_a_run_whose_client_left_is_not_run_again_in_silence(served: Served, how: str) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_and_ignore, served)
        under_way = served.gateway.idempotency._under_way
        await served.until(lambda: any(entry.begun.is_set for entry in under_way.values()))
        if how == "leaves":
            tasks.cancel_scope.cancel()
        else:
            for task in served.server.server_state.tasks:
                task.cancel()
    await served.until(lambda: served.pool().leased == 0)
    answer = await run(served, "hang", timeout_s=60)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_unanswered")
    assert answer.json()["retryable"] is False
    assert served.leases_asked_for() == 1
    text = (await served.http.get("/metrics")).text
    assert 'petri_idempotent_requests_total{result="unanswered"} 1.0' in text


async def run_and_ignore(served: Served) -> None:
    try:
        await run(served, "hang", timeout_s=60)
    except httpx.HTTPError:
        await checkpoint()


async def test_answers_are_kept_for_ten_minutes(served: Served) -> None:
    await run(served, "print 1")
    served.clock.now += 599
    assert (await run(served, "print 2")).status_code == 409
    served.clock.now += 2
    assert (await run(served, "print 2")).json()["stdout"] == "2\n"


@pytest.mark.parametrize(("most", "most_bytes"), [(2, 1 << 20), (100, 3 * 1024 + 2000)])
async def test_memory_is_bounded_and_the_oldest_goes_first(
    served: Served, monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int
) -> None:
    monkeypatch.setattr(idempotency, "_MOST", most)
    monkeypatch.setattr(idempotency, "_MOST_BYTES", most_bytes)
    for number in range(8):
        assert (await run(served, "print 1", key=f"k{number}")).status_code == 200
    kept = served.gateway.idempotency
    assert len(kept._over) == most if most == 2 else len(kept._over) in (2, 3)
    assert kept._bytes <= most_bytes
    assert (await run(served, "print 2", key="k7")).status_code == 409
    assert (await run(served, "print 2", key="k0")).status_code == 200
    served.clock.now += 601
    kept._forget()
    assert (kept._bytes, len(kept._over), len(kept._under_way)) == (0, 0, 0)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
async def test_a_key_that_is_none_is_refused(served: Served, key: str) -> None:
    body = {"language": "python", "code": "print 1"}
    headers = [(b"Idempotency-Key", key.encode())]
    answer = await served.http.post("/v1/run", json=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    twice = await served.http.post("/v1/run", json=body, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert twice.status_code == 400
    assert served.leases_asked_for() == 0
    await asyncio.sleep(0)
