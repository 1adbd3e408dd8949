"""A start that will not come to anything is given up soon, with the cause; tests/docker has the causes themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from petri import readiness
from petri.client import Client
from petri.config import load
from petri.services import Services


@pytest.fixture
def started() -> Iterator[Services]:
    """One service, which lives and never serves."""
    services = Services()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        services._processes["pool"] = process
        yield services
        process.communicate(b"\n")


def test_an_engine_that_does_not_answer_is_named_at_once_and_given_up(tmp_path, monkeypatch, capsys, started):
    environ = {"PETRI_RUN_DIR": str(tmp_path), "PETRI_POOL_DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    monkeypatch.setattr(readiness, "_ASK_ENGINE_AFTER_S", 0.0)
    monkeypatch.setattr(readiness, "_ENGINE_TIMEOUT_S", 0.3)
    with Client("http://127.0.0.1:1") as client, pytest.raises(readiness.NotReady) as given_up:
        readiness.wait(started, client, load(Path("/dev/null"), environ))
    assert "no container engine to be used after 0.3 s: connecting: " in str(given_up.value)
    assert "no container engine yet: connecting: " in capsys.readouterr().out


def pool(ready: int, failures: int) -> dict[str, object]:
    trouble = None if ready else f"{failures} boots failed in a row, the last with refused: no"
    return {
        "template": "python", "ready": ready, "target": 2, "trouble": trouble, "boot_failures": {"refused": failures},
    }  # fmt: skip


def test_the_progress_line_has_the_trouble_of_a_pool_whose_boots_fail():
    assert readiness._in_words([pool(0, 2)]) == "warm sandboxes: python 0/2"
    assert readiness._in_words([pool(0, 3)]) == (
        "warm sandboxes: python 0/2 (3 boots failed in a row, the last with refused: no)"
    )
    assert readiness._in_words([pool(1, 9)]) == "warm sandboxes: python 1/2"
