"""Boot one sandbox: container started, HELLO heard and believed, everything in it frozen."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from pool.engine import Engine
from pool.sandbox import Sandbox
from runners.channel import Channel, ChannelClosed
from runners.messages import AgentError, Hello, parse
from runners.wire import PROTOCOL_VERSION, Kind, RunnerProtocolError


class BootFailed(Exception):
    """The container started, but what is in it does not behave. `reason` is one word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def boot(engine: Engine, sandbox: Sandbox, *, may_wait: Callable[[], bool]) -> None:
    """Give `sandbox` its container and channel, and freeze it; within the template's `boot_timeout_s`.

    While it `may_wait`, others have the processors first. That is asked until there is a container, which the caller
    can hurry from then on; frozen, it is as any other. Whatever goes wrong, `sandbox.container` says what there is to
    destroy.
    """
    template = sandbox.template
    with anyio.move_on_after(template.boot_timeout_s) as deadline:
        sandbox.container = await engine.start(sandbox.id, template, sandbox.slot, background=may_wait())
        if not may_wait():  # any more: somebody came while there was no container yet that could be hurried
            sandbox.container.to_foreground()
        sandbox.channel = Channel(sandbox.container.socket, sandbox.container.transport)
        hello = await _hear(sandbox.channel)
        if hello.protocol != PROTOCOL_VERSION:
            raise BootFailed("version", f"the agent speaks protocol {hello.protocol}, the host {PROTOCOL_VERSION}")
        if hello.language != template.language:
            raise BootFailed("language", f"{template.image} runs {hello.language}, not {template.language}")
        sandbox.container.to_foreground()
        await sandbox.container.freeze()
    if deadline.cancelled_caught and sandbox.container is None:
        raise BootFailed("engine_timeout", f"the engine started no container within {template.boot_timeout_s:g} s")
    if deadline.cancelled_caught:
        raise BootFailed("timeout", f"no HELLO within {template.boot_timeout_s:g} s")


async def _hear(channel: Channel) -> Hello:
    try:
        frame = await channel.receive()
        if frame.kind is Kind.ERROR and frame.stream == 0:
            error = parse(AgentError, frame)
            raise BootFailed(error.code, error.message)
        if frame.kind is not Kind.HELLO or frame.stream != 0:
            raise BootFailed("protocol", f"first frame was {frame!r}, not HELLO")
        return parse(Hello, frame)
    except ChannelClosed as error:
        raise BootFailed("died", f"the agent ended before HELLO: {error}") from error
    except RunnerProtocolError as error:
        raise BootFailed("protocol", str(error)) from error
