"""A run whose client left is interrupted; what its agent answers decides whether the sandbox may serve on."""

from __future__ import annotations

import socket

import anyio
import pytest

from gateway import interruptible
from gateway.interruptible import Interruptible
from runners.channel import Channel, Transport
from runners.execution import Execution, execute
from runners.wire import Kind
from tests.fuzz.corpus import GROUPS, LOST, OUTPUT_LIMIT, STREAM_LIMIT, frame
from tests.fuzz.hostile_sockets import Endless
from tests.fuzz.test_lying_agent import channel_of, say

#: Not those that only the run's own count finds out.
_CASES = {
    name: lie
    for group in ("torn", "oversize", "streams", "kinds", "reports", "lawful")
    for name, lie in GROUPS[group].items()
}
RUN = Execution(argv=["x"], timeout_s=60.0, stream_limit=STREAM_LIMIT, output_limit=OUTPUT_LIMIT)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptible, "_END_WITHIN_S", 0.1)


async def cancelled_run(channel: Channel) -> Interruptible:
    """As an exec leaves it whose client has gone."""
    left = Interruptible(channel)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await execute(left, RUN)
    return left


@pytest.mark.parametrize("name", _CASES)
async def test_only_a_lawful_end_leaves_a_sandbox_that_can_be_used_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = _CASES[name]
    lawful = lie.refuses or (lie.status != LOST and not lie.spent)
    if lawful:  # the end comes; a busy machine may take its time
        monkeypatch.setattr(interruptible, "_END_WITHIN_S", 5.0)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs, Channel(ours, Transport.RAW) as channel:
        left = await cancelled_run(channel)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say, theirs, lie.said, lie.leaves)
            with anyio.fail_after(10):
                fit = await left.interrupt() and channel.is_quiet()
            tasks.cancel_scope.cancel()
    assert fit == lawful


async def test_a_flood_is_waited_for_no_longer_than_an_end_is() -> None:
    with channel_of(Endless(frame(Kind.STDOUT, b"x"), for_s=2.0)) as channel:
        left = await cancelled_run(channel)
        with anyio.fail_after(1):
            assert not await left.interrupt()
