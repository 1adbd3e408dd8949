"""How many sandboxes of each template batches may have at one time, all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import anyio

from pool.template import Template


class Shares:
    """`share` of each template's `max_sandboxes`, rounded down, and at least one."""

    def __init__(self, templates: Iterable[Template], share: float) -> None:
        self.sizes: Mapping[str, int] = {one.name: max(1, math.floor(share * one.max_sandboxes)) for one in templates}
        self._slots = {name: anyio.Semaphore(size) for name, size in self.sizes.items()}

    def slot(self, template: str) -> anyio.Semaphore:
        """To be held while a batch's run of this template waits for a sandbox or has one."""
        return self._slots[template]
