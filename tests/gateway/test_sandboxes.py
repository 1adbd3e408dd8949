"""`/v1/sandboxes`: what a session promises from its creation to ten minutes after its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest

from pool.engine import Usage
from tests.gateway.served import Served, serving


async def gone(served: Served, sandbox: str, reason: str) -> None:
    """Every call but DELETE answers 410 and why."""
    for answer in (
        await served.http.get(f"/v1/sandboxes/{sandbox}"),
        await served.exec(sandbox, "print 1"),
        await served.exec(sandbox, ""),
    ):
        assert answer.status_code == 410, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["reason"], problem["retryable"]) == ("sandbox_gone", reason, False)
    listed = (await served.http.get("/v1/sandboxes")).json()["sandboxes"]
    assert sandbox not in [one["id"] for one in listed]


async def test_creating_answers_201_with_the_sandbox_and_where_it_is(served: Served) -> None:
    answer = await served.http.post(
        "/v1/sandboxes", json={"language": "python", "timeout_s": 90, "metadata": {"agent": "a"}, "env": {"K": "V"}}
    )
    assert answer.status_code == 201
    sandbox = answer.json()
    assert answer.headers["location"] == f"/v1/sandboxes/{sandbox['id']}"
    assert sandbox["id"] in served.engine.containers
    created, expires = (datetime.fromisoformat(sandbox[name]) for name in ("created_at", "expires_at"))
    assert created.utcoffset() == timedelta(0)
    assert sandbox["created_at"].endswith("Z")
    assert expires - created == timedelta(seconds=90)
    del sandbox["created_at"], sandbox["expires_at"]
    assert sandbox == {"id": sandbox["id"], "language": "python", "status": "ready", "metadata": {"agent": "a"}}


async def test_those_there_are_can_be_listed_and_shown(served: Served) -> None:
    assert (await served.http.get("/v1/sandboxes")).json() == {"sandboxes": []}
    ids = [await served.sandbox(metadata={"n": str(n)}) for n in range(3)]
    listed = (await served.http.get("/v1/sandboxes")).json()["sandboxes"]
    assert [one["id"] for one in listed] == ids
    for number, sandbox in enumerate(ids):
        shown = (await served.http.get(f"/v1/sandboxes/{sandbox}")).json()
        assert shown == listed[number]
        assert shown["metadata"] == {"n": str(number)}


async def test_a_sandbox_lives_for_five_minutes_unless_asked_otherwise(served: Served) -> None:
    shown = (await served.http.get(f"/v1/sandboxes/{await served.sandbox()}")).json()
    lives = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert lives == timedelta(seconds=300)


@pytest.mark.parametrize("what", [{"code": "print hi"}, {"command": "print hi"}, {"argv": ["sh", "print hi"]}])
async def test_each_way_to_say_what_to_run_gives_the_run_object(served: Served, what: dict[str, object]) -> None:
    sandbox = await served.sandbox()
    answer = await served.http.post(f"/v1/sandboxes/{sandbox}/exec", json=what)
    run = answer.json()
    assert (answer.status_code, run["status"], run["stdout"]) == (200, "succeeded", "hi\n")
    assert run["sandbox_id"] == sandbox
    assert (run["timings_ms"]["queue"], run["timings_ms"]["lease"]) == (0, 0)
    assert "run;dur=" in answer.headers["server-timing"]


async def test_a_failed_run_does_not_end_a_sandbox(served: Served) -> None:
    sandbox = await served.sandbox()
    ends = [
        (await served.exec(sandbox, code, timeout_s=0.1)).json()["status"]
        for code in ("exit 3", "signal 9", "timeout", "print 1")
    ]
    assert ends == ["failed", "failed", "timed_out", "succeeded"]


async def test_only_out_of_memory_kills_of_this_exec_count(served: Served) -> None:
    sandbox = await served.sandbox()
    served.container(sandbox).usage_now = Usage(oom_kills=2)
    assert (await served.exec(sandbox, "signal 9")).json()["status"] == "oom"
    assert (await served.exec(sandbox, "signal 9")).json()["status"] == "failed"
    served.container(sandbox).usage_now = Usage(oom_kills=3)
    assert (await served.exec(sandbox, "exit 1")).json()["status"] == "oom"


async def test_a_second_exec_at_the_same_time_is_busy(served: Served) -> None:
    sandbox = await served.sandbox()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(served.exec, sandbox, "hang")
        await served.until_running(sandbox)
        answer = await served.exec(sandbox, "print 1")
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (409, "sandbox_busy", True)
        assert (await served.run("print 1")).status_code == 200  # others are not concerned
        await served.http.delete(f"/v1/sandboxes/{sandbox}")


async def test_deleting_is_204_every_time_and_404_only_if_never_known(served: Served) -> None:
    sandbox = await served.sandbox()
    for _ in range(3):
        answer = await served.http.delete(f"/v1/sandboxes/{sandbox}")
        assert (answer.status_code, answer.content) == (204, b"")
    await served.until(lambda: served.pool().leased == 0)
    await gone(served, sandbox, "deleted")
    for unknown in ("sb_" + "0" * 32, "x", "sb_%00%2F"):
        for method in ("GET", "DELETE"):
            answer = await served.http.request(method, f"/v1/sandboxes/{unknown}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_deleting_ends_what_runs_which_is_told_so(served: Served) -> None:
    sandbox = await served.sandbox()
    answers: list[httpx.Response] = []

    async def run() -> None:
        answers.append(await served.exec(sandbox, "hang"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await served.until_running(sandbox)
        assert (await served.http.delete(f"/v1/sandboxes/{sandbox}")).status_code == 204
    assert (answers[0].status_code, answers[0].json()["reason"]) == (410, "deleted")
    await served.until(lambda: served.pool().leased == 0)


async def test_a_sandbox_whose_time_is_over_is_gone_for_whoever_asks(served: Served) -> None:
    sandbox, other = await served.sandbox(timeout_s=10), await served.sandbox(timeout_s=20)
    served.clock.now += 9.9
    assert (await served.exec(sandbox, "print 1")).status_code == 200
    served.clock.now += 0.2
    await gone(served, sandbox, "expired")
    await served.until(lambda: served.pool().leased == 1)
    assert (await served.http.delete(f"/v1/sandboxes/{sandbox}")).status_code == 204
    assert (await served.exec(other, "print 1")).status_code == 200


async def test_a_sandbox_whose_time_is_over_is_given_back_though_nobody_asks(served: Served) -> None:
    await served.sandbox(timeout_s=0.02)
    served.clock.now += 0.03
    await served.until(lambda: served.pool().leased == 0)


async def test_an_exec_ends_with_its_sandboxs_time(served: Served) -> None:
    sandbox = await served.sandbox(timeout_s=0.1)
    answers: list[httpx.Response] = []

    async def run() -> None:
        answers.append(await served.exec(sandbox, "hang"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await served.until_running(sandbox)
        served.clock.now += 0.2
    assert (answers[0].status_code, answers[0].json()["reason"]) == (410, "expired")
    await served.until(lambda: served.pool().leased == 0)


async def test_what_is_gone_is_remembered_for_ten_minutes(served: Served) -> None:
    sandbox = await served.sandbox()
    await served.http.delete(f"/v1/sandboxes/{sandbox}")
    served.clock.now += 599
    await gone(served, sandbox, "deleted")
    served.clock.now += 2
    assert (await served.http.get(f"/v1/sandboxes/{sandbox}")).status_code == 404


@pytest.mark.parametrize("execs", [0, 2])
async def test_an_agent_that_dies_while_idle_is_noticed(served: Served, execs: int) -> None:
    sandbox = await served.sandbox()
    for _ in range(execs):
        await served.exec(sandbox, "print 1")
    served.container(sandbox).die()
    await served.until(lambda: served.pool().leased == 0)
    await gone(served, sandbox, "died")


async def test_an_agent_that_speaks_while_idle_is_not_trusted_any_more(served: Served) -> None:
    sandbox = await served.sandbox()
    served.container(sandbox).agent_end.send(b"\x82")
    await served.until(lambda: served.pool().leased == 0)
    await gone(served, sandbox, "died")


async def test_an_agent_that_dies_during_an_exec_ends_the_sandbox(served: Served) -> None:
    sandbox = await served.sandbox()
    answer = await served.exec(sandbox, "die")
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (502, "sandbox_lost", False)
    await gone(served, sandbox, "died")
    await served.until(lambda: served.pool().leased == 0)


async def test_an_agent_that_the_kernel_took_for_its_guests_memory_ends_the_sandbox_as_oom(served: Served) -> None:
    sandbox = await served.sandbox()
    served.container(sandbox).usage_now = Usage(oom_kills=1)
    run = (await served.exec(sandbox, "die")).json()
    assert (run["status"], run["exit_code"], run["signal"], run["error"]["code"]) == ("oom", None, "SIGKILL", "oom")
    await gone(served, sandbox, "oom")
    await served.until(lambda: served.pool().leased == 0)


async def test_a_guest_that_leaves_its_input_unread_is_ended_and_the_sandbox_goes_on(served: Served) -> None:
    sandbox = await served.sandbox()
    answer = await served.exec(sandbox, "print so far\noverflow")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "stdin"
    assert 'petri_runs_total{status="failed",template="python"} 1.0' in (await served.http.get("/metrics")).text
    assert (await served.exec(sandbox, "print on")).json()["stdout"] == "on\n"


async def test_an_agent_that_does_not_keep_its_deadline_ends_the_sandbox(served: Served) -> None:
    sandbox = await served.sandbox()
    run = (await served.exec(sandbox, "hang", timeout_s=0.01)).json()
    assert (run["status"], run["exit_code"], run["signal"]) == ("timed_out", None, "SIGKILL")
    await gone(served, sandbox, "died")


async def test_an_exec_that_runs_at_shutdown_is_told_so(served: Served) -> None:
    sandbox = await served.sandbox()
    answers: list[httpx.Response] = []

    async def run() -> None:
        answers.append(await served.exec(sandbox, "hang"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await served.until_running(sandbox)
        await served.server.lifespan.shutdown()
        await served.until(lambda: served.pool().leased == 0)
    assert (answers[0].status_code, answers[0].json()["reason"]) == (410, "shutdown")


async def test_an_idle_sandbox_at_shutdown_is_gone_because_of_that(served: Served) -> None:
    sandbox = await served.sandbox()
    await served.server.lifespan.shutdown()
    await gone(served, sandbox, "shutdown")
    await served.until(lambda: served.pool().leased == 0)


async def test_a_sandbox_whose_pool_ended_has_died(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        sandbox = await served.sandbox()
        with anyio.fail_after(10):
            for pool in served.fleet._pools.values():
                pool.close()
            await served.until(lambda: sandbox not in served.engine.containers)
        await gone(served, sandbox, "died")
