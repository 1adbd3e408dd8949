"""A pool's own self-check: no sandbox of a template is leased before one of them has shown that its walls stand."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import anyio

from petri.selfcheck.leased import Checks
from pool.engine import EngineError
from pool.template import Template

log = logging.getLogger(__name__)


async def release_all(checks: Checks, templates: Iterable[Template]) -> list[str]:
    """Returns when all are released, or with what is wrong as soon as anything is.

    A template whose image is missing, or that does not boot, keeps the others waiting for nothing: it is checked when
    it can be.
    """
    faults: list[str] = []

    async def release(template: Template) -> None:
        since = time.monotonic()
        try:
            report = await checks.release(template)
        except EngineError as error:
            found = [f"program: {error}"]
        else:
            found = report.faults()
        if not found:
            log.info("self-check of template %s passed, after %.2f s", template.name, time.monotonic() - since)
            return
        faults.extend(f"template {template.name}: {fault}" for fault in found)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for template in templates:
            tasks.start_soon(release, template)
    return faults
