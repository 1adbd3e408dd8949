"""`petri pool`: the daemon that holds the engine. Fill, serve leases over the local socket, drain at the end."""

from __future__ import annotations

import logging
import os
import signal

import anyio

from petri.config import Config
from pool import daemon, pool_lock
from pool.docker_engine import DockerEngine
from pool.engine import EngineError
from pool.fleet import Fleet

log = logging.getLogger(__name__)

#: Between attempts to reach an engine that does not answer yet.
_RECONNECT_S = 1.0


def run(config: Config) -> int:
    """Until SIGINT or SIGTERM; a second one does not wait for leases. Returns the exit status."""
    try:
        with pool_lock.held(config.pool_lock):
            anyio.run(_serve, config, backend_options={"use_uvloop": True})
    except pool_lock.PoolIsRunning as error:
        log.error("%s", error)
        return 1
    return 0


async def _serve(config: Config) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            stopping = anyio.Event()

            async def heed_signals() -> None:
                async for _ in signals:
                    if stopping.is_set():
                        tasks.cancel_scope.cancel()
                        return
                    stopping.set()

            tasks.start_soon(heed_signals)
            await _until_stopped(config, stopping)
            tasks.cancel_scope.cancel()


async def _until_stopped(config: Config, stopping: anyio.Event) -> None:
    engine = await _connected(config, stopping)
    if engine is None:
        return
    facts = engine.facts()
    log.info("engine: %s; freezer: %s (%s)", facts.engine, facts.freezer, facts.why)
    # As root the gateway gives root up and must still reach the socket; else both run as the same user.
    group = config.gateway.uid if os.geteuid() == 0 else None
    async with Fleet(engine, config.templates, config.pool).running() as fleet:
        with daemon.listening(config.gateway.pool_socket, group=group) as listener:
            log.info("leasing at %s", config.gateway.pool_socket)
            async with anyio.create_task_group() as serving:
                serving.start_soon(daemon.serve, fleet, listener)
                await stopping.wait()
                log.info("draining: %r", fleet)
                await fleet.drain()
                serving.cancel_scope.cancel()


async def _connected(config: Config, stopping: anyio.Event) -> DockerEngine | None:
    """The engine, as soon as it answers; None when told to stop before."""
    while not stopping.is_set():
        try:
            return await DockerEngine.connect(config.pool, config.pool_lock)
        except EngineError as error:
            log.warning("no engine yet: %s", error)
        with anyio.move_on_after(_RECONNECT_S):
            await stopping.wait()
    return None
