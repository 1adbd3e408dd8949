"""What stands around the runs: health, numbers, headers, wrong paths and methods, and faults of our own."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pool.testing import must_fail
from tests.gateway.served import NODE, PYTHON, Served, serving


async def test_health_says_that_the_process_serves_whatever_the_pool_does(served: Served) -> None:
    served.engine.faults = must_fail("start")
    answer = await served.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_is_when_every_pool_can_lease(served: Served) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    answer = await served.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_what_keeps_a_pool_from_leasing_is_said_by_template(tmp_path: Path) -> None:
    async with serving(tmp_path, pool_templates=[PYTHON]) as served:
        await served.until(lambda: served.pool().ready == 2)
        answer = await served.http.get("/readyz")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (503, "pool_unavailable")
        assert problem["templates"] == {"node": "the pool does not know this template"}
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_template_that_only_the_gateway_knows_is_no_language(tmp_path: Path) -> None:
    async with serving(tmp_path, pool_templates=[PYTHON]) as served:
        answer = await served.http.post("/v1/run", json={"language": "node", "code": "print 1"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_language")


async def test_pools_shows_exactly_the_numbers_of_the_contract(served: Served) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    answer = await served.http.get("/v1/pools")
    assert answer.status_code == 200
    shown = answer.json()["pools"][0]
    assert shown.pop("sizing").items() >= {"because": "low", "low": 2, "high": 2, "arrivals_per_s": 0.0}.items()
    assert shown == {
        "template": "python",
        "target": 2,
        "ready": 2,
        "booting": 0,
        "leased": 0,
        "doomed": 0,
        "quarantined": 0,
        "waiting": 0,
        "refill_per_s": None,  # too few yet
        "image": "sha256:fake-petri/python",
        "engine": "fake 1",
        "freezer": "fake",
        "trouble": None,
        "boot_failures": {},
    }


async def test_while_the_pool_is_away_leasing_is_503_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, pool_is_away=True) as away:
        for path in ("/v1/run", "/v1/sandboxes"):
            body = {"language": "python"} | ({"code": "print 1"} if path == "/v1/run" else {})
            answer = await away.http.post(path, json=body)
            assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (
                503,
                "pool_unavailable",
                True,
            )
        assert (await away.http.get("/v1/pools")).status_code == 503
        problem = (await away.http.get("/readyz")).json()
        assert set(problem["templates"]) == {"python", "node"}
        assert (await away.http.get("/healthz")).status_code == 200
        text = (await away.http.get("/metrics")).text
        assert "petri_http_request_seconds" in text
        assert "petri_pool_target" not in text


async def test_a_full_queue_is_429_and_a_wait_in_vain_503(tmp_path: Path) -> None:
    tight = PYTHON.model_copy(update={"target": 1, "max_sandboxes": 1, "max_waiting": 1, "wait_s": 0.3})
    async with serving(tmp_path, [tight]) as served:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.run, "hang")
            await served.until(lambda: served.pool().leased == 1)
            answers = []

            async def wait() -> None:
                answers.append(await served.run("print 1"))

            tasks.start_soon(wait)
            await served.until(lambda: served.pool().waiting == 1)
            full = await served.run("print 1")
            await served.until(lambda: bool(answers))
            tasks.cancel_scope.cancel()
    said = [(one.status_code, one.json()["code"], one.json()["retryable"]) for one in (full, answers[0])]
    assert said == [(429, "too_many_waiting", True), (503, "pool_timeout", True)]
    assert all(re.fullmatch("[1-9][0-9]*", one.headers["retry-after"]) for one in (full, answers[0]))
    assert "python" in answers[0].json()["detail"]  # the pool's own numbers


METRICS = {
    "petri_pool_sandboxes": ("gauge", {"template", "state"}),
    "petri_pool_target": ("gauge", {"template"}),
    "petri_pool_arrivals_per_second": ("gauge", {"template"}),
    "petri_pool_boot_time_seconds": ("gauge", {"template"}),
    "petri_quarantined_sandboxes": ("gauge", {"template"}),
    "petri_pool_waiting": ("gauge", {"template"}),
    "petri_pool_refill_per_second": ("gauge", {"template"}),
    "petri_lease_refusals_total": ("counter", {"template", "reason"}),
    "petri_leases_total": ("counter", {"template", "outcome"}),
    "petri_lease_seconds": ("histogram", {"template"}),
    "petri_run_seconds": ("histogram", {"template"}),
    "petri_boot_seconds": ("histogram", {"template"}),
    "petri_destroy_seconds": ("histogram", {"template"}),
    "petri_thaw_seconds": ("histogram", {"template"}),
    "petri_runs_total": ("counter", {"template", "status"}),
    "petri_boot_failures_total": ("counter", {"template", "reason"}),
    "petri_unwanted_sandboxes": ("gauge", set()),
    "petri_invariant_violations_total": ("counter", set()),
    "petri_http_request_seconds": ("histogram", {"route", "method", "status"}),
    "petri_http_refused_total": ("counter", {"code"}),
    "petri_idempotent_requests_total": ("counter", {"result"}),
    "petri_batch_runs_total": ("counter", {"result"}),
    "petri_http_body_bytes": ("gauge", set()),
    "petri_http_connections": ("gauge", set()),
}


async def test_metrics_have_the_names_types_and_labels_of_the_contract(served: Served) -> None:
    for code in ("print 1", "exit 1", "print 1"):
        await served.run(code)
    await served.until(lambda: served.pool().ready == 2 and served.pool().doomed == 0)
    served.engine.faults = must_fail("start", "no_image")
    await served.run("print 1")
    await served.until(lambda: bool(served.pool().boot_failures))
    answer = await served.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(answer.text)
    }
    assert set(families) == set(METRICS)
    for name, (kind, labels) in METRICS.items():
        family = families[name]
        assert family.type == kind
        assert family.samples, name
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == labels, name
        if kind == "histogram":
            bounds = [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
            assert min(bounds) == 0.0001
    runs = {tuple(sorted(one.labels.values())): one.value for one in families["petri_runs_total"].samples}
    assert runs["python", "succeeded"] == 3
    assert runs["failed", "python"] == 1


async def test_ids_and_scans_make_no_series_of_their_own(served: Served) -> None:
    for path in ("/v1/sandboxes/a", "/v1/sandboxes/b", "/wp-admin", "/.env"):
        await served.http.get(path)
    await served.http.put("/v1/run")
    text = (await served.http.get("/metrics")).text
    routes = set(re.findall('petri_http_request_seconds_count{.*route="([^"]*)"', text))
    assert routes == {"/v1/sandboxes/{id}", "unmatched", "/v1/run"}


SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


async def test_every_answer_carries_an_id_and_the_headers_that_keep_browsers_away(served: Served) -> None:
    answers = [
        await served.run("print 1"),
        await served.run(""),
        await served.http.get("/nothing"),
        await served.http.put("/v1/run"),
        await served.http.get("/docs"),
        await served.http.options("/v1/run"),
    ]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)
    assert all(re.fullmatch("req_[0-9a-f]{32}", one) for one in ids)
    for answer in answers:
        assert SECURITY.items() <= dict(answer.headers).items()
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


async def test_what_guests_and_callers_wrote_never_comes_back_as_a_page(served: Served) -> None:
    markup = "<script>alert(1)</script>"
    sandbox = await served.sandbox(metadata={"k": markup})
    answers = [
        await served.run(f"print {markup}"),
        await served.run(f"err {markup}", output_encoding="base64"),
        await served.exec(sandbox, f"print {markup}"),
        await served.http.get(f"/v1/sandboxes/{sandbox}"),
        await served.http.get(f"/{markup}"),
        await served.http.post(f"/v1/sandboxes/{markup}/exec", json={"code": markup}),
        await served.http.post("/v1/run", json={"language": markup, "code": "x"}),
        await served.http.post("/v1/run", json={markup: 1}),
        await served.http.post("/v1/run", content=markup, headers={"Content-Type": markup}),
        await served.http.post("/v1/run", content=b"{}", headers={"Origin": f"http://{markup}"}),
        await served.http.get("/healthz", headers={"Host": markup}),
    ]
    assert any(markup in answer.text for answer in answers)  # it does come back
    for answer in answers:
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"
    pages = [path for path in ("/docs", "/openapi.json", "/metrics", "/v1/pools", "/v1/sandboxes")]
    kinds = {path: (await served.http.get(path)).headers["content-type"] for path in pages}
    assert [path for path, kind in kinds.items() if kind.startswith("text/html")] == [
        "/docs"
    ]  # ours, made at the start


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("7f3c-abc_1.2", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("two words", False),
        ("<script>", False),
        ("a\tb", False),
    ],
)
async def test_a_callers_own_request_id_is_kept_if_it_is_sane(served: Served, given: str, kept: bool) -> None:
    answer = await served.http.get("/healthz", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) == kept


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/run", "OPTIONS, POST"),
        ("/v1/sandboxes", "GET, HEAD, OPTIONS, POST"),
        ("/v1/sandboxes/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/sandboxes/x/exec", "OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_405_with_those_that_are_right(served: Served, path: str, allow: str) -> None:
    answer = await served.http.patch(path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == allow
    asked = await served.http.options(path)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allow, b"")


@pytest.mark.parametrize("path", ["/docs/", "/v1", "/v1/run/", "/v1/RUN", "/v2/run", "/v1/sandboxes/", "/healthz/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_an_unknown_path_is_404_and_redirects_nowhere(served: Served, path: str, method: str) -> None:
    answer = await served.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/healthz", "/v1/pools", "/v1/sandboxes", "/docs", "/openapi.json", "/metrics"])
async def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    head, get = await served.http.head(path), await served.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which counts the HEAD
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_a_fault_of_our_own_is_a_500_without_internals_and_one_entry_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("gateway.runs.plan_run", broken)
    with caplog.at_level(logging.INFO):
        answer = await served.http.post(
            "/v1/run", json={"language": "python", "code": "x"}, headers={"X-Request-ID": "mine-1"}
        )
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (500, "internal_error", False)
    assert answer.headers["x-request-id"] == "mine-1"
    assert "secret" not in answer.text
    entries = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(entries) == 1
    assert "mine-1" in entries[0].getMessage()
    assert entries[0].exc_info is not None


async def test_both_templates_are_served(served: Served) -> None:
    answer = await served.http.post("/v1/run", json={"language": NODE.name, "code": "print 1"})
    assert (answer.json()["language"], answer.json()["stdout"]) == ("node", "1\n")


async def test_a_violated_invariant_ends_readiness_for_good_and_nothing_is_run_any_more(served: Served) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    sandbox = await served.sandbox()
    (lease,) = served.fleet._leases.values()
    served.fleet._invariants.handed_out(lease.sandbox, "another")  # as if it had been
    await served.http.delete(f"/v1/sandboxes/{sandbox}")
    await served.until(lambda: served.pool("python").ready == 2)
    answer = await served.http.get("/readyz")
    assert answer.status_code == 503
    assert set(answer.json()["templates"]) == {"python", "node"}
    assert "an invariant is violated" in answer.json()["templates"]["node"]
    refused = await served.run("print 1")
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (503, "pool_unavailable", True)
    assert "petri_invariant_violations_total 1.0" in (await served.http.get("/metrics")).text
