"""How many sandboxes to keep ready, from how often one is asked for and how long one takes to boot. Arithmetic only.

A lease takes a ready sandbox and starts the boot of another. So with a target of n, somebody misses when n boots are
under way at once. How often that is:

* While boots start as soon as they are wanted, those under way are as many as calls in an exchange with an offered load
  of `arrivals · boot`, whatever the spread of boot times. If who finds none went away, Erlang's loss formula (B) would
  be the share of misses. Here they wait and take the next one, so boots go on being added beyond n: the share is that
  of n or more under a Poisson distribution of that load, of which Erlang's formula is the lower bound.
* While boots wait for one another, since only some may be made at a time, they form a queue with a utilisation of
  ρ = arrivals / (boots at once / boot), and n or more are in it with a probability of about ρⁿ: geometric.

Either can be the worse one, so the larger of the two sizes is taken. With ρ ≥ 1 no size is enough: sandboxes are asked
for faster than they can be made, and all there may be are kept. Arrivals are taken as independent of one another; the
bursts of a single caller are not, and are what `low` is for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pool sees: leases per second, seconds per boot, and how many boots the host makes at once."""

    arrivals_per_s: float
    boot_s: float
    boots_at_once: int

    @property
    def load(self) -> float:
        """Boots under way on average, if none waits for another."""
        return self.arrivals_per_s * self.boot_s

    @property
    def utilisation(self) -> float:
        """ρ: asked for over what can be made; from 1 on the pool runs dry whatever its size."""
        return self.load / self.boots_at_once


@dataclass(frozen=True, slots=True)
class Size:
    """How many to keep ready, and which bound it came from."""

    target: int
    because: Literal["low", "parallel", "queue", "high"]  # "parallel" and "queue": the first bound above, the second


def size(demand: Demand, *, miss_target: float, low: int, high: int) -> Size:
    """The smallest target within `low` and `high` with which at most `miss_target` of all leases find none ready."""
    if demand.load <= 0:
        return Size(low, "low")
    queue = _queue_size(demand.utilisation, miss_target)
    parallel = _parallel_size(demand.load, miss_target, high)
    wanted = max(queue, parallel)
    if wanted <= low:
        return Size(low, "low")
    if wanted > high:
        return Size(high, "high")
    return Size(int(wanted), "queue" if queue > parallel else "parallel")


def miss_shares(load: float) -> Iterator[float]:
    """The share of leases that find n or more boots under way, for n = 0, 1, 2 …, while none waits for another."""
    exactly = math.exp(-load)  # under way; 0 for a load above 745, which then no target is enough for
    fewer = 0.0
    for boots in itertools.count():
        yield max(0.0, 1.0 - fewer)
        fewer += exactly
        exactly *= load / (boots + 1)


def _parallel_size(load: float, miss_target: float, high: int) -> float:
    """The smallest target that misses no more than that; inf when `high` is not enough."""
    shares = itertools.islice(miss_shares(load), high + 1)
    return next((target for target, share in enumerate(shares) if share <= miss_target), math.inf)


def _queue_size(utilisation: float, miss_target: float) -> float:
    if utilisation >= 1:
        return math.inf
    return math.ceil(math.log(miss_target) / math.log(utilisation))
