"""`petri pool`: the daemon that holds the engine. Fill, serve leases over the local socket, drain at the end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

import anyio

from petri.config import Config
from pool import daemon, process_lock, runtimes, uid_block
from pool.docker_engine import DockerEngine
from pool.engine import EngineError
from pool.engine_api import doing
from pool.fleet import Fleet
from pool.template import Template

log = logging.getLogger(__name__)

#: How long the threads of engine calls may take to end once everything else has. An idle one ends at once; one whose
#: engine hangs would keep the process for that call's deadline.
_THREADS_S = 1.0
#: Between attempts to reach an engine that does not answer yet.
_RECONNECT_S = 1.0
#: Deadline of one question to the engine.
_ASK_S = 15.0


def run(config: Config) -> int:
    """Until SIGINT or SIGTERM; a second one does not wait for leases, nor the first for a sweep. The exit status."""
    try:
        with process_lock.held(config.pool_lock), uid_block.taken(config.run_dir, config.pool.uid_base) as uid_base:
            pool = config.pool.model_copy(update={"uid_base": uid_base})
            status = anyio.run(_serve, replace(config, pool=pool), backend_options={"use_uvloop": True})
    except (process_lock.Held, uid_block.NoBlockIsFree) as error:
        log.error("%s", error)
        return 1
    _leave_stuck_threads(status)
    return status


def _leave_stuck_threads(status: int) -> None:
    """End the process here, with `status`, if a call to a hung engine would keep it from ending."""
    give_up = time.monotonic() + _THREADS_S
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    for thread in others:
        thread.join(max(0.0, give_up - time.monotonic()))
    if stuck := [thread.name for thread in others if thread.is_alive()]:
        log.warning("the engine has not answered %d calls; leaving them", len(stuck))
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)


async def _serve(config: Config) -> int:
    status = 0
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            stopping, serving = anyio.Event(), anyio.Event()

            async def heed_signals() -> None:
                async for _ in signals:
                    if stopping.is_set() or not serving.is_set():
                        tasks.cancel_scope.cancel()
                        return
                    stopping.set()

            tasks.start_soon(heed_signals)
            status = await _until_stopped(config, stopping, serving)
            tasks.cancel_scope.cancel()
    return status


async def _until_stopped(config: Config, stopping: anyio.Event, serving: anyio.Event) -> int:
    engine = await _connected(config)
    # Only now: an engine that is still starting with the machine is waited for, not refused.
    if reason := await _refusal(config):
        log.error("%s", reason)
        return 1
    if faults := await _lacking_runtimes(engine, config.templates):
        log.error("%s\n    → %s", "\n".join(faults), runtimes.REMEDY)
        return 1
    facts = engine.facts()
    log.info("engine: %s; freezer: %s (%s)", facts.engine, facts.freezer, facts.why)
    # As root the gateway gives root up and must still reach the socket; else both run as the same user.
    group = config.gateway.uid if os.geteuid() == 0 else None
    held_back = [template.name for template in config.templates] if config.pool.selfcheck else []
    status = 0
    async with Fleet(engine, config.templates, config.pool, held_back=held_back).running() as fleet:

        async def check() -> None:
            nonlocal status
            from petri.selfcheck import Checks, release_all  # takes 0.1 s, and the first sandboxes boot meanwhile

            faults = await release_all(Checks(fleet, engine, config.pool.uid_base), config.templates)
            if faults:
                log.error("a wall of the sandboxes does not stand, and nothing is served:\n%s", "\n".join(faults))
                status = 1
                stopping.set()

        with daemon.listening(config.gateway.pool_socket, group=group) as listener:
            log.info("leasing at %s", config.gateway.pool_socket)
            serving.set()
            async with anyio.create_task_group() as answering:
                answering.start_soon(daemon.serve, fleet, listener)
                if config.pool.selfcheck:
                    answering.start_soon(check)
                await stopping.wait()
                log.info("draining: %r", fleet)
                await fleet.drain()
                answering.cancel_scope.cancel()
    return status


async def _refusal(config: Config) -> str | None:
    if not config.pool.production:
        return None
    from petri.doctor import refusal  # takes 0.2 s

    return await anyio.to_thread.run_sync(refusal, config, abandon_on_cancel=True)


async def _lacking_runtimes(engine: DockerEngine, templates: Iterable[Template]) -> list[str]:
    """A sentence for each template whose sandboxes this engine could never start."""
    named = [template for template in templates if template.runtime]
    if not named:
        return []
    try:
        with doing("asking for runtimes"), engine.api.connection(_ASK_S) as connection:
            there = (await connection.get("info")).get("Runtimes") or {}
    except EngineError as error:
        log.warning("%s", error)  # then each boot finds out
        return []
    found = [(template.name, runtimes.lacking(template.runtime, there)) for template in named]
    return [f"template {name}: {fault}" for name, fault in found if fault]


async def _connected(config: Config) -> DockerEngine:
    """The engine, as soon as it answers."""
    while True:
        try:
            return await DockerEngine.connect(config.pool, config.pool_lock)
        except EngineError as error:
            log.warning("no engine yet: %s", error)
        await anyio.sleep(_RECONNECT_S)
