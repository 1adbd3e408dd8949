"""How outcomes are put into the words of the API."""

from __future__ import annotations

import pytest

from gateway.outcomes import error_of, signal_name, status_of, text_of
from pool.template import Template
from runners.execution import Outcome

PYTHON = Template(name="python", language="python", image="petri/python")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(0, None), "succeeded"),
        (Outcome(1, None), "failed"),
        (Outcome(None, 11), "failed"),
        (Outcome(None, 9, timed_out=True), "timed_out"),
        (Outcome(None, 9, output_limit=True), "output_limit"),
        (Outcome(None, 9, oom=True), "oom"),
        # The host's counter comes before what the agent says.
        (Outcome(None, 9, oom=True, timed_out=True, output_limit=True), "oom"),
        (Outcome(1, None, oom=True), "oom"),
    ],
)
def test_each_outcome_has_one_status_and_an_error_unless_it_succeeded(outcome: Outcome, status: str) -> None:
    assert status_of(outcome) == status
    error = error_of(outcome, PYTHON, 10)
    assert (error is None) == (status == "succeeded")
    if error is not None:
        assert error.kind == ("user" if status == "failed" else "limit")


def test_limits_are_named_with_their_numbers() -> None:
    killed = Outcome(None, 9, output_limit=True)
    error = error_of(killed, PYTHON, 10)
    assert error is not None
    assert error.message == "wrote more than 16384 KiB of output"


@pytest.mark.parametrize(
    ("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (34, "SIGRTMIN"), (36, "SIGRTMIN+2"), (33, "SIG33")]
)
def test_signals_have_the_names_that_kill_knows(number: int, name: str) -> None:
    assert signal_name(number) == name


def test_bytes_that_are_no_utf_8_are_replaced_in_text_and_kept_in_base64() -> None:
    assert text_of(b"a\xffb\xe2\x82", "utf-8") == "a\ufffdb\ufffd"
    assert text_of(b"a\xffb", "base64") == "Yf9i"
    assert text_of(b"", "base64") == ""
