"""What a gateway refuses is told once, each fault in a line of its own."""

from __future__ import annotations

import json

import httpx

from gateway.problems import Fault, Problem, invalid
from petri.client import _problem


def answer(problem: Problem) -> httpx.Response:
    sent = problem.response()
    return httpx.Response(sent.status_code, content=bytes(sent.body))


def test_faults_of_a_request_are_told_once():
    said = _problem(answer(invalid([Fault("args", "too many"), Fault("env.A", "must not be empty")])))
    assert said.splitlines() == [
        "invalid_request: The request is not valid",
        "  args: too many",
        "  env.A: must not be empty",
    ]


def test_a_problem_without_faults_is_told_by_its_detail():
    assert _problem(answer(Problem("pool_timeout", "nothing within 5 s"))) == "pool_timeout: nothing within 5 s"


def test_what_is_no_problem_is_shown_as_it_came():
    assert _problem(httpx.Response(502, content=json.dumps({"code": 1}).encode())) == 'status 502: {"code": 1}'
