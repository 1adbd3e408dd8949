"""`petri selfcheck`: one sandbox of each template, made as a pool makes them, with no Petri needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import anyio

from petri.config import Config
from petri.selfcheck.circumstances import runtime_of
from petri.selfcheck.leased import Checks
from petri.selfcheck.probe import Result
from petri.selfcheck.report import Report
from pool import process_lock, uid_block
from pool.docker_engine import DockerEngine
from pool.engine import EngineError
from pool.errors import PoolError
from pool.fleet import Fleet
from pool.settings import PoolSettings
from pool.template import Template


def run(config: Config, templates: Sequence[Template]) -> list[Report]:
    """A report for each of `templates`. Raises `EngineError` when no engine answers, `Held` and `NoBlockIsFree`."""
    # A pool of its own: a Petri that runs here does not notice, and whatever kills this one, a sweep finds it.
    lock = config.run_dir / "selfcheck.lock"
    with process_lock.held(lock), uid_block.taken(config.run_dir, config.pool.uid_base) as uid_base:
        settings = config.pool.model_copy(update={"name": f"selfcheck-{os.getpid()}", "uid_base": uid_base})
        return anyio.run(_reports, replace(config, pool=settings), templates)


async def _reports(config: Config, templates: Sequence[Template]) -> list[Report]:
    settings: PoolSettings = config.pool
    engine = await DockerEngine.connect(settings, config.run_dir / "selfcheck.lock")
    reports: dict[str, Report] = {}
    # Nothing is kept ready: each boots when it is asked for, and no other.
    lazy = [template.model_copy(update={"target": 0, "max_target": 0}) for template in templates]
    async with Fleet(engine, lazy, settings).running() as fleet:
        checks = Checks(fleet, engine, settings.uid_base)

        async def report(template: Template) -> None:
            try:
                reports[template.name] = await checks.report(template)
            except (PoolError, EngineError) as error:
                reports[template.name] = _not_booted(template, error)

        async with anyio.create_task_group() as tasks:
            for template in lazy:
                tasks.start_soon(report, template)
    return [reports[template.name] for template in templates]


def _not_booted(template: Template, error: Exception) -> Report:
    result = Result("boot", "a sandbox boots", None, (str(error),))
    return Report(template.name, template.image, runtime_of(template), (result,))
