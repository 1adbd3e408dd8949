from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.served import Served, serving


@pytest.fixture
def anyio_backend() -> object:
    """The loop that users have: uvicorn runs on no other."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as world:
        yield world
