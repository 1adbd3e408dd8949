"""Say what happened as one line of the log: a name and named values, never what a guest or a credential says.

The events of the pool are here, those of the gateway in gateway/events.py; docs/logs.md has all of them. How a line is
written is the command line's to choose (petri/logs.py).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pool.sandbox import Change

log = logging.getLogger(__name__)

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line. `fields` are all that it may carry, and each line carries all of them."""

    name: str
    fields: tuple[str, ...]
    level: int = logging.INFO

    def log(self, logger: logging.Logger, **values: Value) -> None:
        """Write it, if anybody wants this level. Costs nothing else."""
        if logger.isEnabledFor(self.level):
            assert tuple(values) == self.fields, f"{self.name} has {self.fields}, not {tuple(values)}"
            logger.log(self.level, self.name, extra={EVENT: self, VALUES: values})


#: Names of a record's attributes, for the formatters.
EVENT = "petri_event"
VALUES = "petri_values"

SANDBOX_MOVED = Event("sandbox", ("sandbox", "template", "old", "new", "reason", "seconds_in_old"))
INVARIANT_VIOLATED = Event("invariant_violated", ("sandbox", "template", "what"), logging.CRITICAL)

EVENTS = (SANDBOX_MOVED, INVARIANT_VIOLATED)


def sandbox_moved(change: Change) -> None:
    """An observer of every sandbox's moves."""
    SANDBOX_MOVED.log(
        log,
        sandbox=change.sandbox.id,
        template=change.sandbox.template.name,
        old=change.old.value,
        new=change.new.value,
        reason=change.reason,
        seconds_in_old=round(change.seconds_in_old, 6),
    )


def values_of(record: logging.LogRecord) -> tuple[str | None, Mapping[str, Value]]:
    """The event of a record and its values; (None, nothing) for a plain message."""
    event: Event | None = getattr(record, EVENT, None)
    return (None, {}) if event is None else (event.name, getattr(record, VALUES))
