"""One engine of the tests' own, one proxy before it and one Petri behind that, for all of tests/faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.engine_proxy import EngineProxy
from tests.faults.second_engine import SecondEngine, can_run
from tests.faults.site import Site


@pytest.fixture(scope="session")
def second() -> Iterator[SecondEngine]:
    if not can_run():
        pytest.skip("only root can start an engine, and this machine's may not be a local dockerd")
    with SecondEngine.running() as engine:
        engine.take_image("petri/python:latest")
        yield engine


@pytest.fixture(scope="session")
def proxy(second: SecondEngine) -> Iterator[EngineProxy]:
    with EngineProxy.running(second.directory / "proxy.sock", second.socket) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def opened(second: SecondEngine, proxy: EngineProxy) -> Iterator[Site]:
    with Site.opened(second, proxy) as site:
        yield site


@pytest.fixture
def site(opened: Site) -> Iterator[Site]:
    """The Petri at its target; after the test it is so again, without anybody's help, and nothing is left over."""
    opened.resume("pool", "gateway")
    opened.wait_until_full()  # the last test has asserted all the rest
    yield opened
    opened.resume("pool", "gateway")
    opened.assert_back_to_normal()
