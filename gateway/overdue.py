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

#: Between two looks at the processor time: more than a period of the kernel's limiting (CFS quota, 0.1 s under Docker).
#: A guest on several processors has used up its quota early in a period and stands still for the rest of it, however
#: busy it is; over a whole period it has had all of the quota.
_LOOK_AGAIN_S = 0.11
#: Of what the sandbox may use of one processor in the time between, what counts as doing something. A starving guest
#: uses all, an agent that waits next to nothing.
_BUSY_SHARE = 0.1


class Counters(Protocol):
    async def usage(self, lease: Lease) -> Usage: ...


async def stands_still(pool: Counters, lease: Lease, *, cpus: float, answer_by: float) -> bool:
    """Whether nothing happens in the sandbox, which has so many processors. False where the host cannot tell by then,
    in the loop's time: a promised answer waits."""
    with anyio.CancelScope(deadline=answer_by), suppress(PoolError):
        before, began = (await pool.usage(lease)).cpu_ns, anyio.current_time()
        await anyio.sleep(_LOOK_AGAIN_S)
        after = (await pool.usage(lease)).cpu_ns
        if before is not None and after is not None:
            return after - before < _BUSY_SHARE * min(1.0, cpus) * 1e9 * (anyio.current_time() - began)
    return False
