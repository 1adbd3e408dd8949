"""What pool and gateway say of runs and sessions: a line each, with names that join them, and nothing of the guest."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anyio
import pytest

import gateway.events
import pool.events
from gateway.settings import GatewaySettings
from petri.logs import JsonLines, Text
from tests.gateway.served import PYTHON, Served, serving

SECRETS = ("s3cret-program", "s3cret-stdin", "s3cret-file", "s3cret-arg", "s3cret-env", "s3cret-meta", "s3cret-key")


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    written = [json.loads(JsonLines().format(record)) for record in caplog.records]
    return [line for line in written if line["event"] == event]


async def test_a_runs_line_has_the_names_that_the_caller_was_told(served: Served, caplog) -> None:
    with caplog.at_level(logging.INFO):
        answer = await served.http.post(
            "/v1/run", json={"language": "python", "code": "exit 3"}, headers={"X-Request-ID": "mine-1"}
        )
        said = answer.json()
        await served.until(lambda: said["sandbox_id"] not in served.engine.containers)
        await served.until(lambda: "gone" in [line["new"] for line in lines(caplog, "sandbox")])
    (line,) = lines(caplog, "run")
    assert line["run_ms"] == pytest.approx(said["duration_ms"])
    assert line["queue_ms"] == pytest.approx(said["timings_ms"]["queue"])
    assert line.items() >= {
        "run": said["run_id"],
        "request": "mine-1",
        "kind": "run",
        "sandbox": said["sandbox_id"],
        "template": "python",
        "status": "failed",
        "exit_code": 3,
        "signal": None,
    }.items()  # fmt: skip
    of_its_sandbox = [line for line in lines(caplog, "sandbox") if line["sandbox"] == said["sandbox_id"]]
    moves = [(line["old"], line["new"], line["reason"]) for line in of_its_sandbox]
    assert moves[-3:] == [
        ("ready", "leased", "taken"),
        ("leased", "doomed", "finished"),
        ("doomed", "gone", "removed"),
    ]


@pytest.mark.parametrize(
    ("code", "status"), [("print 1", "succeeded"), ("signal 9", "failed"), ("die", "lost"), ("garbage", "lost")]
)
async def test_however_a_run_ends_it_has_one_line(served: Served, caplog, code: str, status: str) -> None:
    with caplog.at_level(logging.INFO):
        await served.run(code)
    assert [line["status"] for line in lines(caplog, "run")] == [status]


async def test_a_run_whose_client_leaves_has_its_line_too(served: Served, caplog) -> None:
    with caplog.at_level(logging.INFO):
        with anyio.move_on_after(0.1):
            await served.run("hang")
        await served.until(lambda: bool(lines(caplog, "run")))
    assert [line["status"] for line in lines(caplog, "run")] == ["cancelled"]


async def test_a_session_has_a_line_for_its_beginning_each_exec_and_its_end(served: Served, caplog) -> None:
    with caplog.at_level(logging.INFO):
        sandbox = await served.sandbox()
        for _ in range(2):
            await served.exec(sandbox, "print 1")
        served.clock.now += 7
        await served.http.delete(f"/v1/sandboxes/{sandbox}")
        await served.http.delete(f"/v1/sandboxes/{sandbox}")
    changes = [(line["sandbox"], line["change"], line["reason"], line["seconds"]) for line in lines(caplog, "session")]
    assert changes == [(sandbox, "created", "asked for", 0.0), (sandbox, "ended", "deleted", 7.0)]
    assert [(line["sandbox"], line["kind"]) for line in lines(caplog, "run")] == [(sandbox, "exec")] * 2


async def test_a_refusal_names_request_and_code(tmp_path: Path, caplog) -> None:
    full = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "max_waiting": 1, "wait_s": 0.05})
    async with serving(tmp_path, [full]) as served:
        await served.sandbox()
        with caplog.at_level(logging.INFO):
            answer = await served.http.post(
                "/v1/run", json={"language": "python", "code": "x"}, headers={"X-Request-ID": "mine-2"}
            )
        assert answer.status_code == 503
    (line,) = lines(caplog, "refused")
    assert (line["request"], line["route"], line["code"]) == ("mine-2", "/v1/run", "pool_timeout")


async def test_a_batch_says_of_each_run_that_it_was_refused(tmp_path: Path, caplog) -> None:
    full = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1})
    async with serving(tmp_path, [full], settings=GatewaySettings(batch_wait_s=0.05)) as served:
        await served.sandbox()
        runs = [{"language": "python", "code": "print 1"}] * 2
        with caplog.at_level(logging.INFO):
            await served.http.post("/v1/batch", json={"runs": runs}, headers={"X-Request-ID": "mine-3"})
    refused = [(line["request"], line["route"], line["code"]) for line in lines(caplog, "refused")]
    assert refused == [("mine-3", "/v1/batch", "pool_timeout")] * 2


async def test_who_comes_while_the_gateway_stops_has_its_line_and_a_run_that_is_cut_off_is_none(
    served: Served, caplog
) -> None:
    with caplog.at_level(logging.INFO):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            served.attendance.drain()
            await served.http.post(
                "/v1/run", json={"language": "python", "code": "x"}, headers={"X-Request-ID": "mine-4"}
            )
            served.attendance.cut_off()
    assert [(line["request"], line["code"]) for line in lines(caplog, "refused")] == [("mine-4", "draining")]


async def test_nothing_of_a_guests_and_no_credential_is_in_any_line(served: Served, caplog) -> None:
    body = {
        "code": "print s3cret-program\nerr s3cret-program\nexit 1",
        "stdin": "s3cret-stdin",
        "files": [{"path": "s3cret-file", "content": "s3cret-file"}],
        "args": ["s3cret-arg"],
        "env": {"K": "s3cret-env"},
    }
    headers = {"Authorization": "Bearer s3cret-key", "X-API-Key": "s3cret-key"}
    with caplog.at_level(logging.DEBUG):
        meta = {"metadata": {"k": "s3cret-meta"}, "env": {"L": "s3cret-env"}}
        run = await served.http.post("/v1/run", json={"language": "python", **body, **meta | {}}, headers=headers)
        assert run.status_code == 200, run.text
        sandbox = await served.sandbox(**meta)
        for program in (body["code"], "die\ns3cret-program"):
            await served.exec(sandbox, program, **{name: body[name] for name in ("stdin", "files", "args", "env")})
        await served.run("s3cret-program", cod="s3cret-program")
        await served.until(lambda: served.pool().doomed == 0)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "asyncio"))]
    written = "\n".join(form.format(record) for record in ours for form in (JsonLines(), Text()))
    assert '"event": "run"' in written
    assert not [secret for secret in SECRETS if secret in written]


async def test_an_id_that_could_forge_a_line_is_not_taken(served: Served, caplog) -> None:
    with caplog.at_level(logging.INFO):
        await served.http.post(
            "/v1/run", json={"language": "python", "code": "print 1"}, headers={"X-Request-ID": "a b\tstatus=x"}
        )
    (line,) = lines(caplog, "run")
    assert str(line["request"]).startswith("req_")


async def test_each_event_that_there_is_is_one_that_happens(tmp_path: Path, caplog) -> None:
    """But for a violated invariant, which tests/unit/pool/test_invariants.py makes happen."""
    with caplog.at_level(logging.INFO):
        async with serving(tmp_path) as served:
            await served.run("print 1")
            await served.sandbox()
        async with serving(tmp_path, pool_is_away=True) as away:
            await away.run("print 1")
    seen = {json.loads(JsonLines().format(record))["event"] for record in caplog.records} - {"message"}
    there_are = {event.name for event in (*pool.events.EVENTS, *gateway.events.EVENTS)}
    assert seen == there_are - {"invariant_violated"}
