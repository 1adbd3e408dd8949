"""When requests are meant to start, in seconds from the beginning."""

from __future__ import annotations

import random


def every(seconds: float, count: int) -> list[float]:
    return [number * seconds for number in range(count)]


def at_once(count: int) -> list[float]:
    return [0.0] * count


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrivals of independent clients: `rate` a second on average, for `seconds`. One seed, one schedule."""
    if rate <= 0:
        raise ValueError(f"a rate of {rate} never arrives")
    chance = random.Random(seed)
    starts, at = [], chance.expovariate(rate)
    while at < seconds:
        starts.append(at)
        at += chance.expovariate(rate)
    return starts
