from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio.testing

from pool.fleet import Fleet
from pool.sandbox import Change
from pool.settings import PoolSettings
from pool.template import Template
from pool.testing import FakeEngine


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Every pool test runs on each loop that users have, and on trio, whose scheduling order is random."""
    name, options = request.param
    if name == "trio":
        # Waiting costs nothing: the clock jumps when every task sleeps. The pause lets socket events through first.
        options = {"clock": trio.testing.MockClock(autojump_threshold=0.02)}
    return name, options


class World:
    """A fleet of one template over a fake engine, and what happened to its sandboxes."""

    def __init__(self, engine: FakeEngine, template: Template, settings: PoolSettings) -> None:
        self.engine = engine
        self.changes: list[Change] = []
        self.on_change: Callable[[Change], None] = lambda change: None
        self._happened = anyio.Event()
        self.fleet = Fleet(engine, [template], settings, observers=[self._observe])

    def _observe(self, change: Change) -> None:
        self.changes.append(change)
        self.on_change(change)
        self._happened.set()
        self._happened = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until some change makes `condition` true; the test fails when none does."""
        with anyio.fail_after(10):
            while not condition():
                await self._happened.wait()

    async def until_ready(self, number: int) -> None:
        await self.until(lambda: self.now.ready == number)

    @property
    def now(self):
        """The pool's numbers at this moment."""
        return self.fleet.stats().pools[0]


@pytest.fixture
def world():
    """`async with world(target=2) as w:` runs a fleet, and asserts that nothing outlives it."""

    @asynccontextmanager
    async def make(settings: PoolSettings | None = None, **sizes: object) -> AsyncIterator[World]:
        values = {"name": "python", "language": "python", "image": "petri/python", "target": 2, "max_sandboxes": 6}
        template = Template(**{**values, **sizes})
        async with FakeEngine().running() as engine:
            world = World(engine, template, settings or PoolSettings(boots_at_once=4, destroys_at_once=4))
            async with world.fleet.running():
                yield world
            assert not engine.containers, f"outlived their pool: {list(engine.containers.values())}"

    return make
