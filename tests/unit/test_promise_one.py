"""What tests/faults call a broken first promise: that one that breaks is seen."""

from __future__ import annotations

import pytest

from gateway.problems import Problem, SandboxLost
from tests.faults.site import ANSWERED_S, Answer, assert_promise_one

DONE = {"status": "succeeded", "stdout": "done\n"}


def answered(problem: Problem) -> Answer:
    return Answer(problem.kind.status, dict(problem.body()), 1.0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, DONE, 1.0),
        answered(SandboxLost("it died before anything was sent to it", ran=False)),
        answered(SandboxLost("it died", ran=True)),
        answered(Problem("pool_timeout", "x")),
    ],
)
def test_what_keeps_it(answer: Answer):
    assert_promise_one([answer])


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(None, {}, 1.0), id="no answer"),
        pytest.param(Answer(200, DONE, ANSWERED_S + 0.1), id="late"),
        pytest.param(Answer(200, {**DONE, "status": "timed_out"}, 1.0), id="called the guest's"),
        pytest.param(answered(SandboxLost("it died", ran=False)), id="retryable though code may have run"),
        pytest.param(answered(Problem("pool_timeout", "x", retryable=False)), id="not retryable though nothing ran"),
        pytest.param(answered(Problem("invalid_request", "x")), id="called the caller's"),
    ],
)
def test_what_breaks_it(answer: Answer):
    with pytest.raises(AssertionError):
        assert_promise_one([answer])
