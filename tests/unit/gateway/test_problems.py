"""The table of problems, and what maps to it."""

from __future__ import annotations

import json

import pytest

from gateway.problems import KINDS, Fault, Problem, SandboxLost, invalid, of_not_executed, of_pool_error
from pool.errors import BY_CODE, PoolTimeout
from runners.execution import NotExecuted

#: The table of errors in the HTTP contract.
CONTRACT = {
    "invalid_json": 400,
    "invalid_request": 400,
    "forbidden": 403,
    "not_found": 404,
    "unknown_language": 404,
    "sandbox_gone": 410,
    "sandbox_busy": 409,
    "body_too_large": 413,
    "too_many_waiting": 429,
    "sandbox_lost": 502,
    "pool_timeout": 503,
    "pool_unavailable": 503,
    "draining": 503,
}

#: What has come to it.
ADDED = {
    "invalid_http": 400,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "idempotency_key_reused": 409,
    "idempotency_key_unanswered": 409,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "headers_too_large": 431,
    "internal_error": 500,
    "too_many_bodies": 503,
    "too_many_connections": 503,
}


def test_every_code_has_the_status_of_the_contract() -> None:
    assert {code: KINDS[code].status for code in CONTRACT} == CONTRACT
    assert {code: KINDS[code].status for code in KINDS if code not in CONTRACT} == ADDED
    assert all(kind.waits == (kind.status in (429, 503)) for kind in KINDS.values())
    assert all(kind.title and kind.meaning for kind in KINDS.values())


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (30.0, "30")])
def test_retry_after_is_in_whole_seconds_and_at_least_one(seconds: float, header: str) -> None:
    response = Problem("draining", "x", retry_after_s=seconds).response()
    assert response.headers["retry-after"] == header


def test_every_error_of_the_pool_has_a_kind_and_keeps_its_words() -> None:
    for code, error in BY_CODE.items():
        problem = of_pool_error(error("<WarmPool go 0/4 ready>: nothing"))
        assert (problem.code, problem.detail) == (code, "<WarmPool go 0/4 ready>: nothing")
        assert problem.retryable == error.retryable
    assert of_pool_error(PoolTimeout("x", retry_after_s=3.1)).response().headers["retry-after"] == "4"


def test_a_body_is_a_whole_problem_with_its_faults_and_members() -> None:
    response = invalid([Fault("a", "is wrong"), Fault("b", "too")]).response()
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "/docs#invalid_request",
        "title": "The request is not valid",
        "status": 400,
        "detail": "a: is wrong; b: too",
        "code": "invalid_request",
        "retryable": False,
        "errors": [{"field": "a", "message": "is wrong"}, {"field": "b", "message": "too"}],
    }


def test_a_lost_sandbox_may_be_tried_again_only_if_nothing_ran() -> None:
    assert SandboxLost("x", ran=False).retryable
    assert not SandboxLost("x", ran=True).retryable


@pytest.mark.parametrize(
    ("code", "answered", "retryable"),
    [
        ("worker_failed", "sandbox_lost", True),
        ("bad_request", "sandbox_lost", True),
        ("io_error", "sandbox_lost", True),
        ("a code of tomorrow", "sandbox_lost", True),
        ("busy", "sandbox_busy", True),
        ("bad_path", "invalid_request", False),
        ("not_found", "invalid_request", False),
        ("not_permitted", "invalid_request", False),
        ("not_regular", "invalid_request", False),
        ("too_large", "invalid_request", False),
        ("no_space", "invalid_request", False),
    ],
)
def test_what_the_agent_refuses_is_the_callers_doing_or_ours(code: str, answered: str, retryable: bool) -> None:
    problem = of_not_executed(NotExecuted(code, "says the agent"), "files")
    assert (problem.code, problem.retryable) == (answered, retryable)
