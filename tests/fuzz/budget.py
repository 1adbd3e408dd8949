"""How hard to look: by default a fixed set of examples, the same every time; with PETRI_FUZZ=50 fifty times as many
new ones."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("PETRI_FUZZ", "0"))


def examples(number: int, **more: Any) -> settings:
    """Settings of a property that tries `number` examples within the suite."""
    return settings(
        max_examples=number * max(FACTOR, 1),
        derandomize=not FACTOR,
        database=None,
        deadline=None,  # the machine is shared; what may not take long is measured where that is the point
        suppress_health_check=[HealthCheck.too_slow],
        **more,
    )
