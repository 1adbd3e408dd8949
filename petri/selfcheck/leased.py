"""Check a sandbox of a fleet's: at a pool's start, and for `petri selfcheck`."""

from __future__ import annotations

import logging

import anyio

from petri.selfcheck.circumstances import Circumstances, Host, runtime_of
from petri.selfcheck.inside import examine
from petri.selfcheck.report import Report
from pool.docker_engine import DockerEngine
from pool.errors import PoolError
from pool.fleet import Fleet
from pool.template import Template

log = logging.getLogger(__name__)

_ASK_S = 15.0


class Checks:
    """Self-checks of one fleet, whose sandboxes in slot n are user `uid_base` + n."""

    def __init__(self, fleet: Fleet, engine: DockerEngine, uid_base: int) -> None:
        self._fleet = fleet
        self._engine = engine
        self._uid_base = uid_base
        self._host = Host.of_this_process()

    async def report(self, template: Template) -> Report:
        """Of a sandbox that is leased for it, and destroyed. Raises `PoolError` when there is none to be had."""
        lease = await self._fleet.lease(template.name, held_back=True)
        try:
            channel = lease.sandbox.channel
            assert channel is not None
            circumstances = Circumstances(
                template,
                self._uid_base + lease.sandbox.slot,
                await self._image_variables(template),
                self._host,
            )
            results = await examine(channel, circumstances)
        finally:
            self._fleet.end(lease.id, "self-check")
        return Report(template.name, self._engine.image(template), runtime_of(template), results)

    async def release(self, template: Template) -> Report:
        """Check one sandbox as soon as one can be had; if all is well, let the fleet lease the others."""
        while True:
            try:
                report = await self.report(template)
            except PoolError as error:  # the pool's own log and /readyz have the reason
                log.debug("no sandbox to check yet: %s", error)
                await anyio.sleep(error.retry_after_s)
                continue
            if report.ok:
                self._fleet.release(template.name)
            return report

    async def _image_variables(self, template: Template) -> frozenset[str]:
        with self._engine.api.connection(_ASK_S) as connection:
            image = await connection.get("images", self._engine.image(template), "json")
        variables: list[str] = image["Config"].get("Env") or []
        return frozenset(variable.partition("=")[0] for variable in variables)
