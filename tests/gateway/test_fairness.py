"""Callers over HTTP: who they are, whose turn it is, and who is refused when the line is full."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

from gateway import pool_client
from tests.gateway.served import PYTHON, Served, serving

ONE = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "max_waiting": 4, "wait_s": 30.0})


class Crowd:
    """Requests for the only sandbox there is; their answers in the order in which they came."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.answers: list[tuple[str, httpx.Response]] = []

    async def ask(self, name: str, path: str = "/v1/run", **members: object) -> None:
        body = {"language": "python", **({"code": "print 1"} if path == "/v1/run" else {}), **members}
        answer = await self.served.http.post(path, json=body, headers={"Authorization": f"Bearer {name}"})
        self.answers.append((name, answer))
        if path == "/v1/sandboxes" and answer.status_code == 201:
            await self.served.http.delete(answer.headers["location"])

    @property
    def served_in_order(self) -> list[str]:
        return [name for name, answer in self.answers if answer.is_success]


async def test_a_quiet_caller_has_the_place_of_the_noisy_ones_last_and_its_turn_before_the_rest(tmp_path: Path) -> None:
    async with serving(tmp_path, [ONE]) as served:
        crowd = Crowd(served)
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as holding:
            holding.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            for number in range(4):
                tasks.start_soon(crowd.ask, "noisy")
                await served.until(lambda waiting=number + 1: served.pool().waiting == waiting)
            tasks.start_soon(crowd.ask, "quiet")
            await served.until(lambda: bool(crowd.answers))
            ((name, refused),) = crowd.answers
            assert (name, refused.status_code, refused.json()["code"]) == ("noisy", 429, "too_many_waiting")
            assert refused.json()["retryable"]
            assert int(refused.headers["retry-after"]) >= 1
            assert "noisy" not in refused.text
            holding.cancel_scope.cancel()
        assert crowd.served_in_order == ["noisy", "quiet", "noisy", "noisy"]
        text = (await served.http.get("/metrics")).text
        assert 'petri_lease_refusals_total{reason="displaced",template="python"} 1.0' in text


@pytest.mark.parametrize("path", ["/v1/run", "/v1/sandboxes"])
async def test_who_says_batch_waits_behind_who_does_not(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path, [ONE]) as served:
        crowd = Crowd(served)
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as holding:
            holding.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            for number, priority in enumerate(["batch", "interactive"]):
                tasks.start_soon(lambda name=priority: crowd.ask(name, path, priority=name))
                await served.until(lambda waiting=number + 1: served.pool().waiting == waiting)
            holding.cancel_scope.cancel()
        assert crowd.served_in_order == ["interactive", "batch"]


async def test_a_priority_that_there_is_not_is_named(served: Served) -> None:
    answer = await served.run("print 1", priority="urgent")
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == ["priority"]


async def test_while_the_pool_is_away_callers_are_told_to_stay_away_as_long_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, pool_is_away=True) as served:
        since = served.gateway.pool._away_since  # type: ignore[attr-defined]
        for away_s, told in ((0.2, "1"), (6.5, "7"), (3600, "30")):
            monkeypatch.setattr(pool_client.time, "monotonic", lambda now=since + away_s: now)
            answer = await served.run("print 1")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, told)
            monkeypatch.undo()
