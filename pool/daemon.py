"""Serve leases over a local socket. A connection that ends takes all its leases with it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from pydantic import ValidationError

from pool.engine import EngineError
from pool.errors import PoolError, PoolUnavailable
from pool.fleet import Fleet
from pool.messages import MAX_PACKET_BYTES, Answer, Ask, Granted, Refused, SandboxesAre, StatsAre, UsageIs, new_socket

log = logging.getLogger(__name__)

#: Connections waiting to be accepted. One gateway makes one connection.
_BACKLOG = 16
#: After a failed accept. The cause outlives a moment, and nobody new is served meanwhile anyway.
_ACCEPT_AGAIN_S = 1.0
#: Sandboxes of one template that are shown in one packet: each is 150 to 400 bytes of its 128 KiB.
_SHOWN = 300


@contextmanager
def listening(path: Path, *, group: int | None = None) -> Iterator[socket.socket]:
    """The daemon's socket, for its owner and `group` only; removed at the end. An old file is replaced:
    whoever holds the pool's lock owns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_socket() as sock:
        path.unlink(missing_ok=True)
        old_mask = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(old_mask)
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
        sock.listen(_BACKLOG)
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


async def serve(fleet: Fleet, listener: socket.socket) -> None:
    """Accept gateways until cancelled."""
    async with anyio.create_task_group() as tasks:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                await anyio.wait_readable(listener)
                continue
            except OSError as error:  # out of descriptors, most likely: those who are connected go on
                log.error("cannot accept: %s", error.strerror)
                await anyio.sleep(_ACCEPT_AGAIN_S)
                continue
            sock.setblocking(False)
            tasks.start_soon(_Connection(fleet, sock).serve)


class _Connection:
    """One gateway. Owns the leases it was granted, until it ends them or goes away."""

    def __init__(self, fleet: Fleet, sock: socket.socket) -> None:
        self._fleet = fleet
        self._socket = sock
        self._leases: set[str] = set()
        self._asking: dict[int, anyio.CancelScope] = {}
        self._waiting_to_write = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Connection fd={self._socket.fileno()} {len(self._leases)} leases, {len(self._asking)} asking>"

    async def serve(self) -> None:
        try:
            with self._socket:
                async with anyio.create_task_group() as tasks:
                    await self._receive(tasks)
                    tasks.cancel_scope.cancel()
        finally:
            for lease in self._leases:
                self._fleet.end(lease, "gateway gone")

    async def _receive(self, tasks: TaskGroup) -> None:
        while True:
            try:
                packet = self._socket.recv(MAX_PACKET_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                continue
            except OSError as error:
                log.warning("%r: %s", self, error)
                return
            if not packet:
                return
            try:
                ask = Ask.model_validate_json(packet)
            except ValidationError as error:
                log.error("%r sent what is not a message, and is dropped: %s", self, error)
                return
            self._begin(ask, tasks)

    def _begin(self, ask: Ask, tasks: TaskGroup) -> None:
        match ask.op:
            case "lease" if ask.id not in self._asking:
                self._asking[ask.id] = anyio.CancelScope()
                tasks.start_soon(self._lease, ask)
            case "lease":
                log.error("%r used id %d twice; the second is dropped", self, ask.id)
            case "cancel":
                if scope := self._asking.get(ask.id):
                    scope.cancel()
            case "end":
                if ask.lease in self._leases:
                    self._leases.remove(ask.lease)
                    self._fleet.end(ask.lease, ask.reason)
            case "usage":
                tasks.start_soon(self._usage, ask)
            case "stats":
                tasks.start_soon(self._answer, StatsAre(id=ask.id, stats=self._fleet.stats()))
            case "sandboxes":
                tasks.start_soon(self._sandboxes, ask)

    async def _lease(self, ask: Ask) -> None:
        try:
            with self._asking[ask.id]:
                try:
                    lease = await self._fleet.lease(
                        ask.template, caller=ask.caller, priority=ask.priority, wait_s=ask.wait_s
                    )
                except PoolError as error:
                    await self._refuse(ask, error)
                    return
                # Recorded before the next await: whatever happens now, the connection's end ends it.
                self._leases.add(lease.id)
                channel = lease.sandbox.channel
                assert channel is not None and lease.sandbox.container is not None
                granted = Granted(
                    id=ask.id,
                    lease=lease.id,
                    sandbox=lease.sandbox.id,
                    transport=lease.sandbox.container.transport,
                    queue_s=lease.queue_s,
                    thaw_s=lease.thaw_s,
                )
                arrived = False
                try:
                    arrived = await self._answer(granted, channel.fileno())
                finally:
                    if not arrived:
                        self._leases.discard(lease.id)
                        self._fleet.end(lease.id, "not handed over")
        finally:
            del self._asking[ask.id]

    async def _usage(self, ask: Ask) -> None:
        if ask.lease not in self._leases:
            await self._refuse(ask, PoolUnavailable(f"no lease {ask.lease}"))
            return
        try:
            usage = await self._fleet.usage(ask.lease)
        except (EngineError, KeyError) as error:  # the engine did not say, or the lease ended meanwhile
            await self._refuse(ask, PoolUnavailable(f"no usage of lease {ask.lease}: {error}"))
            return
        await self._answer(
            UsageIs(
                id=ask.id,
                oom_kills=usage.oom_kills,
                memory_peak_bytes=usage.memory_peak_bytes,
                cpu_ns=usage.cpu_ns,
            )
        )

    async def _sandboxes(self, ask: Ask) -> None:
        try:
            found = self._fleet.sandboxes(ask.template)
        except PoolError as error:
            await self._refuse(ask, error)
            return
        shown = tuple(found[:_SHOWN])
        await self._answer(SandboxesAre(id=ask.id, sandboxes=shown, left_out=len(found) - len(shown)))

    async def _refuse(self, ask: Ask, error: PoolError) -> None:
        await self._answer(Refused(id=ask.id, code=error.code, message=str(error), retry_after_s=error.retry_after_s))

    async def _answer(self, answer: Answer, *descriptors: int) -> bool:
        """Send it; False when the gateway is gone."""
        packet = answer.model_dump_json().encode()
        while True:
            try:
                socket.send_fds(self._socket, [packet], list(descriptors))
                return True
            except BlockingIOError:
                async with self._waiting_to_write:  # a socket has room for one task that waits for it
                    await anyio.wait_writable(self._socket)
            except OSError as error:
                log.warning("%r cannot be answered, and is dropped: %s", self, error.strerror)
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)  # so that the receiver ends the connection
                return False
