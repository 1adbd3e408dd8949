"""What a soak calls a broken promise; that one that breaks is seen."""

from __future__ import annotations

import httpx
import pytest

from gateway.problems import Problem
from tests.soak import remains, tally
from tests.soak.remains import Census, Remains
from tests.soak.tally import Tally


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(tally, "_LONGEST_WAIT_S", 0.0)


def answered(problem: Problem, **headers: str) -> Tally:
    sent = problem.response()
    found = Tally()
    answer = httpx.Response(sent.status_code, content=bytes(sent.body), headers=dict(sent.headers) | headers)
    found.refusal(answer, ran_perhaps=True)
    return found


@pytest.mark.parametrize("code", ["pool_unavailable", "pool_timeout", "draining", "too_many_waiting"])
def test_a_refusal_that_says_when_to_come_again_is_right(code: str):
    assert answered(Problem(code, "x")).broken == []


def test_a_lost_sandbox_is_right_as_long_as_nothing_may_run_twice():
    assert answered(Problem("sandbox_lost", "x", retryable=False)).broken == []
    assert "retryable though code may have run" in answered(Problem("sandbox_lost", "x", retryable=True)).broken[0]


def test_a_fault_of_the_gateways_own_is_never_right():
    assert "500 internal_error" in answered(Problem("internal_error", "x")).broken[0]


def test_what_is_no_problem_object_is_not_right():
    found = Tally()
    found.refusal(httpx.Response(502, content=b"<html>"), ran_perhaps=False)
    assert "no problem" in found.broken[0]


def test_a_refusal_without_a_time_is_not_right():
    assert "no Retry-After" in answered(Problem("pool_timeout", "x"), **{"retry-after": ""}).broken[0]


def test_a_container_is_found_by_its_cgroup_its_mount_and_its_engines_process(tmp_path):
    one = Remains("nobody", "SOAK_MARK=1")
    one._ids.add("ab" * 32)
    assert one._names_one_of_ours("ab" * 32)
    assert one._names_one_of_ours(f"docker-{'ab' * 32}.scope")
    assert not one._names_one_of_ours("cd" * 32)
    for name, command, environ, ours in (
        ("1", ["/usr/bin/containerd-shim-runc-v2", "-id", "ab" * 32, "-address", "x"], "A=1", True),
        ("2", ["/usr/bin/containerd-shim-runc-v2", "-id", "cd" * 32], "A=1", False),
        ("3", ["python"], "SOAK_MARK=1", True),
        ("4", ["python", "-id"], "SOAK_MARK=12", False),
    ):
        process = tmp_path / name
        process.mkdir()
        (process / "cmdline").write_bytes("\0".join([*command, ""]).encode())
        (process / "environ").write_bytes(f"{environ}\0B=2\0".encode())
        assert one._is_ours(process) == ours, name
    assert not one._is_ours(tmp_path / "5")  # has ended


def test_nothing_is_nothing():
    assert Census(0, 0, 0, 0).is_nothing
    for at in range(4):
        assert not Census(*(int(at == number) for number in range(4))).is_nothing
    assert "1 containers" in str(remains.Census(1, 0, 0, 0))
