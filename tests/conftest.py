"""Tests in real sandboxes come last, and wait for the images that scripts/test builds beside the others."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_NEED_IMAGES = tuple(_HERE / tier for tier in ("attacks", "docker", "faults"))
#: The file that will hold the exit status of the build. Not set: there is none under way.
_BUILD = "PETRI_TEST_IMAGES"


def _needs_images(item: pytest.Item) -> bool:
    return any(item.path.is_relative_to(tier) for tier in _NEED_IMAGES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_needs_images)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if _needs_images(item):
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
