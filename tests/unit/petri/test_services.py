"""A signal cannot come between a service's start and its being known."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from petri import services, stop_signals
from petri.services import Services


def test_a_signal_that_comes_during_a_start_is_heeded_after_it(monkeypatch):
    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(services.subprocess, "Popen", Interrupted)
    started = Services()
    with stop_signals.raising():
        with pytest.raises(stop_signals.Stop):
            started.start("help", ["--help"], output=subprocess.DEVNULL, lifeline=False)
        started.stop(10.0)
    assert started.status("help") is not None


def test_a_service_that_does_not_end_when_asked_is_killed(capfd):
    started = Services()
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    with subprocess.Popen(["python3", "-c", stubborn], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        started._processes["stubborn"] = process
        started.stop(0.1)
        assert started.status("stubborn") == -signal.SIGKILL
    assert "stubborn did not end within 0.1 s, killing it" in capfd.readouterr().err


def test_another_ctrl_c_while_it_is_ending_is_told_so_once(capfd):
    before = {number: signal.getsignal(number) for number in stop_signals._NUMBERS}
    try:
        stop_signals.ignore_from_now_on(70.0)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capfd.readouterr().err == "petri: ending already; this may take up to 70 s\n"
