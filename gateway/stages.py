"""Where the time of one run went, stage by stage, for the Server-Timing header."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.schema import Timings
from runners.execution import Outcome


@dataclass(slots=True)
class Stages:
    """Seconds, and two moments on `time.perf_counter`'s clock. Filled in as a request goes on."""

    head_at: float  # the request's head had been read
    parse_s: float = 0.0
    thaw_s: float = 0.0
    ended_at: float = 0.0  # the run's end was known

    def parsed(self) -> None:
        self.parse_s = time.perf_counter() - self.head_at

    def ended(self) -> None:
        self.ended_at = time.perf_counter()

    def server_timing(self, timings: Timings, outcome: Outcome) -> str:
        """The header's value, in the order in which things happen. Call it last: encoding the answer is `respond`.

        `thaw` is part of `lease`. `send`, `first-byte` (counted from the send) and `exit` (from that) make up `run`.
        """
        respond_s = time.perf_counter() - self.ended_at
        shown = {"parse": _ms(self.parse_s), "queue": timings.queue, "thaw": _ms(self.thaw_s), "lease": timings.lease}
        shown |= dict(_of_the_run(outcome))
        shown |= {"run": timings.run, "respond": _ms(respond_s), "total": timings.total}
        return ", ".join(f"{stage};dur={milliseconds:g}" for stage, milliseconds in shown.items())


def _of_the_run(outcome: Outcome) -> Iterator[tuple[str, float]]:
    yield "send", _ms(outcome.sent_s)
    if outcome.first_byte_s is not None:
        yield "first-byte", _ms(outcome.first_byte_s - outcome.sent_s)
        yield "exit", _ms(outcome.duration_s - outcome.first_byte_s)
    else:
        yield "exit", _ms(outcome.duration_s - outcome.sent_s)


def _ms(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)
