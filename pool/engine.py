"""The seam to whatever boots, freezes, thaws and destroys containers: Docker, or the fake in `pool.testing`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

from pool.template import Template
from runners.channel import Transport


class EngineError(Exception):
    """The engine did not do what was asked. `reason` is one word for metrics: what failed, not its text."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Usage:
    """The host's own counters for one container; None where this host cannot tell."""

    oom_kills: int = 0
    memory_peak_bytes: int | None = None
    cpu_ns: int | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What `petri doctor` and `/v1/pools` say of the engine."""

    engine: str  # name and version
    freezer: str  # how containers are frozen
    why: str  # and why in that way
    freezes_cgroups: bool = False  # without a call to the engine


class Container(Protocol):
    """One started container. Whoever called `start` owns it until `destroy` returned."""

    @property
    def id(self) -> str:
        """The engine's own id."""
        ...

    @property
    def socket(self) -> socket.socket:
        """The container's standard input and output: where the agent's frames travel."""
        ...

    @property
    def transport(self) -> Transport: ...

    def to_foreground(self) -> None:
        """Give what was started in the background the processors as any other has them. At once; again is harmless."""
        ...

    async def freeze(self) -> None:
        """Stop every process in it. Returns when they have stopped."""
        ...

    async def thaw(self) -> None:
        """Let them go on. Quick: this stands on the request's path."""
        ...

    def is_alive(self) -> bool:
        """False when it has ended, or will as soon as it is thawed. At once: this stands on the request's path."""
        ...

    async def usage(self) -> Usage: ...


class Engine(Protocol):
    """Makes and removes containers. Every method may raise `EngineError`; each has a deadline of its own."""

    def facts(self) -> EngineFacts: ...

    async def start(self, sandbox_id: str, template: Template, slot: int, *, background: bool) -> Container:
        """A running container for the sandbox. Cancelled or failed half-way, it removes what it had made.

        `background`: let others have the processors first, until `to_foreground`, where the engine can.
        """
        ...

    async def destroy(self, container: Container) -> bool:
        """Thaw, kill and remove it. Already gone is success, and False: the engine did nothing for it."""
        ...

    async def reach(self, container: Container) -> bool:
        """Go all the way to a container that runs, and back; an `EngineError` when the engine cannot.

        False for one that has ended meanwhile, which the engine knows without going anywhere.
        """
        ...

    async def sweep(self) -> int:
        """Remove containers with our label that belong to no living pool; how many. Never adopts one.

        An `EngineError` when some would not go; the others are removed all the same.
        """
        ...

    async def ours(self) -> set[str]:
        """Ids of the sandboxes that exist as containers of this pool."""
        ...

    async def remove_orphan(self, sandbox_id: str) -> None:
        """Remove the container of a sandbox that is not known any more, if this process of the pool made it."""
        ...

    def image(self, template: Template) -> str:
        """Digest of the image that the template's sandboxes are made from; its name until one was made."""
        ...
