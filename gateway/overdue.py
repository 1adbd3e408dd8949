"""Tell an agent that its guest keeps from speaking from one that nobody hears, by what the sandbox's processes do.

An agent ends a run at its time limit and says so. One that has not, a while later, is either starved by its own guest,
whose processes then use all the processor time there is: the guest's limit was met. Or what carries its words hangs,
the engine, the container's supervisor, or the agent itself. Then the sandbox's processes do nothing any more, since the
run was ended inside; and that is no fault of the guest's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import anyio

from gateway.pool_client import Lease
from pool.engine import Usage
from pool.errors import PoolError

#: Between two looks at the processor time: long enough for a busy guest to use some of its share.
_LOOK_AGAIN_S = 0.04
#: For both looks; a promised answer waits.
_WITHIN_S = 0.15
#: Of the time between, what counts as doing something. A starving guest uses all, an agent that waits next to nothing.
_BUSY_SHARE = 0.1


class Counters(Protocol):
    async def usage(self, lease: Lease) -> Usage: ...


async def stands_still(pool: Counters, lease: Lease) -> bool:
    """Whether nothing happens in the sandbox. False where the host cannot tell."""
    with anyio.move_on_after(_WITHIN_S), suppress(PoolError):
        before, began = (await pool.usage(lease)).cpu_ns, anyio.current_time()
        await anyio.sleep(_LOOK_AGAIN_S)
        after = (await pool.usage(lease)).cpu_ns
        if before is not None and after is not None:
            return after - before < _BUSY_SHARE * 1e9 * (anyio.current_time() - began)
    return False
