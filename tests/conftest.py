"""Order the tiers: first what minds no busy machine, while scripts/test builds images; last what needs them."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
#: The unit tier waits for no clock but its own. The next three have deadlines to keep, the last need images.
_ORDER = ("unit", "fuzz", "gateway", "conformance", "attacks", "docker", "faults")
_NEED_IMAGES = ("attacks", "docker", "faults")
#: The file that will hold the exit status of the build. Not set: there is none under way.
_BUILD = "PETRI_TEST_IMAGES"


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(_HERE).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _ORDER.index(_tier(item)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if _tier(item) in _NEED_IMAGES:
        _wait_for_images()  # in here, no test's own timeout runs yet
    return (yield)


@functools.cache
def _wait_for_images() -> None:
    if not (name := os.environ.get(_BUILD)):
        return
    file = Path(name)
    while not file.exists():
        time.sleep(0.2)
    if (status := file.read_text().strip()) != "0":
        pytest.exit(f"the images were not built (status {status}); what the build said is above", returncode=1)
