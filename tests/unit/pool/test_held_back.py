"""Templates that are held back until somebody has looked at one of their sandboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from pool.errors import PoolUnavailable
from pool.fleet import Fleet
from pool.settings import PoolSettings
from pool.stats import PoolSnapshot
from pool.template import Template
from pool.testing import FakeEngine

CHECKED, FREE = (Template(name=name, language="python", image="petri/python", target=1) for name in ("checked", "free"))


@asynccontextmanager
async def ready_fleet() -> AsyncIterator[Fleet]:
    async with FakeEngine().running() as engine:
        async with Fleet(engine, [CHECKED, FREE], PoolSettings(), held_back=["checked"]).running() as fleet:
            with anyio.fail_after(10):
                while not all(pool.ready for pool in fleet.stats().pools):
                    await anyio.sleep(0.001)
            yield fleet


def now(fleet: Fleet, template: str) -> PoolSnapshot:
    return next(pool for pool in fleet.stats().pools if pool.template == template)


async def test_what_is_held_back_fills_up_and_is_not_leased():
    async with ready_fleet() as fleet:
        with pytest.raises(PoolUnavailable, match="self-check") as refused:
            await fleet.lease("checked")
        assert refused.value.retryable
        assert now(fleet, "checked").ready == 1
        assert now(fleet, "checked").lease_outcomes == {"hit": 0, "waited": 0, "timeout": 0, "refused": 1}
        assert now(fleet, "checked").refusals["unavailable"] == 1


async def test_it_says_so_and_others_have_no_part_in_it():
    async with ready_fleet() as fleet:
        assert now(fleet, "checked").trouble == "its self-check is not over yet"
        assert now(fleet, "free").trouble is None
        fleet.end((await fleet.lease("free")).id, "done")


async def test_whoever_looks_gets_one_all_the_same_and_releases_the_others():
    async with ready_fleet() as fleet:
        fleet.end((await fleet.lease("checked", held_back=True)).id, "looked at")
        with pytest.raises(PoolUnavailable):
            await fleet.lease("checked")
        fleet.release("checked")
        fleet.end((await fleet.lease("checked")).id, "done")
        assert now(fleet, "checked").lease_outcomes["refused"] == 1
