"""Say what a run did in the words of the HTTP contract; no I/O."""

from __future__ import annotations

import binascii
import signal

from gateway.intake import Plan
from gateway.schema import OutputEncoding, RunAnswer, RunError, RunStatus, Timings
from pool.template import Template
from runners.execution import Outcome


def status_of(outcome: Outcome) -> RunStatus:
    """One word. The host's counters come first: a run out of memory often looks like another fault from inside."""
    if outcome.oom:
        return "oom"
    if outcome.timed_out:
        return "timed_out"
    if outcome.output_limit:
        return "output_limit"
    return "succeeded" if outcome.exit_code == 0 else "failed"


def error_of(outcome: Outcome, template: Template, timeout_s: float) -> RunError | None:
    """Why it did not succeed, with the limit that it met."""
    match status_of(outcome):
        case "succeeded":
            return None
        case "oom":
            return RunError(kind="limit", code="oom", message=f"ran out of its {template.memory_mib} MiB of memory")
        case "timed_out":
            return RunError(kind="limit", code="timed_out", message=f"was still running after {timeout_s:g} s")
        case "output_limit":
            most = template.output_limit_kib
            return RunError(kind="limit", code="output_limit", message=f"wrote more than {most} KiB of output")
    if outcome.signal is not None:
        return RunError(kind="user", code="signal", message=f"was ended by {signal_name(outcome.signal)}")
    return RunError(kind="user", code="nonzero_exit", message=f"exited with code {outcome.exit_code}")


def signal_name(number: int) -> str:
    """As kill(1) writes it, with SIG in front."""
    try:
        return signal.Signals(number).name
    except ValueError:  # between SIGRTMIN and SIGRTMAX only the two ends have names
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number > signal.SIGRTMIN else f"SIG{number}"


def text_of(raw: bytes, encoding: OutputEncoding) -> str:
    if encoding == "base64":
        return binascii.b2a_base64(raw, newline=False).decode("ascii")
    return raw.decode("utf-8", "replace")


def answer_of(
    outcome: Outcome, plan: Plan, *, run_id: str, sandbox_id: str, queue_s: float, lease_s: float, total_s: float
) -> RunAnswer:
    """The run object. `lease_s` is the time to get the sandbox, waiting in the queue not counted."""
    encoding = plan.output_encoding
    return RunAnswer(
        run_id=run_id,
        sandbox_id=sandbox_id,
        language=plan.template.name,
        status=status_of(outcome),
        exit_code=outcome.exit_code,
        signal=None if outcome.signal is None else signal_name(outcome.signal),
        stdout=text_of(outcome.stdout, encoding),
        stderr=text_of(outcome.stderr, encoding),
        output=text_of(outcome.output, encoding),
        stdout_truncated=outcome.stdout_truncated,
        stderr_truncated=outcome.stderr_truncated,
        duration_ms=_ms(outcome.duration_s),
        timings_ms=Timings(queue=_ms(queue_s), lease=_ms(lease_s), run=_ms(outcome.duration_s), total=_ms(total_s)),
        error=error_of(outcome, plan.template, plan.execution.timeout_s),
    )


def _ms(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)
