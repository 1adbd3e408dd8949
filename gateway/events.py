"""What the gateway says in the log: each run's end, each session's beginning and end, each refusal."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import Literal

from gateway.pool_client import Lease
from pool.events import Event
from runners.execution import Outcome

RUN_ENDED = Event(
    "run",
    (
        *("run", "request", "kind", "sandbox", "template", "status", "exit_code", "signal"),
        *("queue_ms", "lease_ms", "run_ms"),
    ),
)
SESSION_CHANGED = Event("session", ("sandbox", "template", "change", "reason", "seconds"))
REFUSED = Event("refused", ("request", "route", "code", "retry_after_s"))

EVENTS = (RUN_ENDED, SESSION_CHANGED, REFUSED)


def log_refusal(log: logging.Logger, request: bytes, route: str, code: str, retry_after_s: float) -> None:
    """Nothing ran, and it may be sent again later."""
    REFUSED.log(log, request=request.decode("ascii"), route=route, code=code, retry_after_s=round(retry_after_s, 3))


@dataclass(frozen=True, slots=True)
class RunNames:
    """What a run is called: its own id, the id of the request that asked for it, and how it was asked for."""

    run: str
    request: str
    kind: Literal["run", "exec"]

    @classmethod
    def new(cls, request: bytes, kind: Literal["run", "exec"]) -> RunNames:
        return cls(f"run_{secrets.token_hex(16)}", request.decode("ascii"), kind)

    def values(self, lease: Lease, status: str, outcome: Outcome | None) -> dict[str, str | int | float | None]:
        """The line of its end. An exec has no lease of its own, and so spent no time on one."""
        fresh = self.kind == "run"
        return {
            "run": self.run,
            "request": self.request,
            "kind": self.kind,
            "sandbox": lease.sandbox_id,
            "template": lease.template,
            "status": status,
            "exit_code": None if outcome is None else outcome.exit_code,
            "signal": None if outcome is None else outcome.signal,
            "queue_ms": round(lease.queue_s * 1000, 3) if fresh else 0.0,
            "lease_ms": round((lease.lease_s - lease.queue_s) * 1000, 3) if fresh else 0.0,
            "run_ms": None if outcome is None else round(outcome.duration_s * 1000, 3),
        }
