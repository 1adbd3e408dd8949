"""What a call to the engine costs this process: the pool's own client beside the `docker` package, in one run.

    .venv/bin/python -m benchmarks.engine_calls [--calls 500]

Needs an engine; changes nothing in it. The call is a small one (`GET /version`), so that the client is what is
measured: processor time of this process in milliseconds per call, and the median of the wall clock. The two take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import docker

from pool.engine_api import Address, EngineApi


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    calls = parser.parse_args().calls
    anyio.run(measure, calls, backend_options={"use_uvloop": True})


async def measure(calls: int) -> None:
    api, facts = await EngineApi.connect(Address.of(""), 10.0)
    package = docker.from_env().api

    async def ours() -> None:
        with api.connection(10.0) as connection:
            await connection.get("version")

    async def packages() -> None:  # as the pool would have to call it
        await anyio.to_thread.run_sync(package.version)

    ways: dict[str, Callable[[], Awaitable[None]]] = {"pool.engine_api": ours, "docker package": packages}
    spent = dict.fromkeys(ways, 0.0)
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(calls):
        for name, call in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            await call()
            spent[name] += time.process_time() - cpu
            walls[name].append(time.perf_counter() - wall)
    print(f"Docker {facts['Version']}, {calls} calls each\n{'':16} {'CPU ms':>8} {'median ms':>10}")
    for name in ways:
        print(f"{name:16} {1000 * spent[name] / calls:8.3f} {1000 * statistics.median(walls[name]):10.3f}")


if __name__ == "__main__":
    main()
