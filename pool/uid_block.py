"""Keep the user ids of two pools on one host apart: each takes a block of its own, for as long as it lives.

The kernel bounds by user id what one user may have of pipes, watches, signals under way: sandboxes that share one could
starve each other. A block is a lock file in the run directory, which the pools of one host have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pool import process_lock

#: Sandboxes of one pool at one time, whatever its templates.
BLOCK = 1 << 16
#: Pools on one host.
_BLOCKS = 64


class NoBlockIsFree(Exception):
    """Every block of user ids is taken; the message is for a person."""


@contextmanager
def taken(run_dir: Path, uid_base: int) -> Iterator[int]:
    """The first user id of a block that no other pool has until the end of the block of code.

    The first pool of a host has `uid_base` itself. Raises `NoBlockIsFree`.
    """
    with ExitStack() as held:
        for number in range(_BLOCKS):
            try:
                held.enter_context(process_lock.held(run_dir / f"uids-{number}.lock"))
            except process_lock.Held:
                continue
            yield uid_base + number * BLOCK
            return
        raise NoBlockIsFree(f"{_BLOCKS} pools have their locks in {run_dir}, and there are user ids for no more")
