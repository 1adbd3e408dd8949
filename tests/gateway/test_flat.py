"""Memory stays flat from run to run; tests/soak/flat.py does the same 100,000 times."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak.flat import Memory, gateway_and_pool, growth, pool_alone


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """What pytest keeps of the log would be what grows, where an earlier test has raised its level."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


async def test_the_pool_keeps_nothing_of_a_lease() -> None:
    assert growth(await pool_alone(2000, print)) is None


async def test_gateway_and_pool_keep_nothing_of_a_run() -> None:
    assert growth(await gateway_and_pool(1500, print)) is None


@pytest.mark.parametrize(
    ("blocks", "rss_mib", "grown"), [(1100, 51.0, False), (1300, 51.0, True), (1100, 55.0, True), (900, 49.0, False)]
)
def test_what_grows_is_told_from_what_does_not(blocks: int, rss_mib: float, grown: bool) -> None:
    samples = [Memory(0, 1000, 50.0), Memory(500, 5000, 90.0), Memory(1000, blocks, rss_mib)]
    assert (growth(samples) is not None) == grown
