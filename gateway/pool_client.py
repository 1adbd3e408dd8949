"""Lease sandboxes from the pool daemon over its socket; when the connection ends, so does every lease."""

from __future__ import annotations

import array
import errno
import logging
import math
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from pydantic import ValidationError

from pool.engine import Usage
from pool.errors import BY_CODE, PoolUnavailable
from pool.messages import (
    ANSWER,
    MAX_PACKET_BYTES,
    Answer,
    Ask,
    Granted,
    Refused,
    SandboxesAre,
    StatsAre,
    UsageIs,
    new_socket,
)
from pool.stats import PoolStats
from pool.waiting import Priority
from runners.channel import Channel

log = logging.getLogger(__name__)

#: Between attempts to reach a daemon that is away. It starts in about a second; ten attempts a second cost nothing.
_RECONNECT_S = 0.1
#: Packets kept for a daemon that does not read, on top of the 280 or so that its socket holds. More than the callers of
#: one gateway: a daemon this far behind hangs, and ending the connection ends the leases.
_OUTBOX_PACKETS = 10_000
#: Callers are told to come back after as long again as the daemon has been away, and at most this: it may be restarted
#: at any time.
_LONGEST_AWAY_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """The exclusive, one-time right to one sandbox. Release it exactly once, with `PoolClient.release`."""

    id: str
    sandbox_id: str
    template: str
    channel: Channel
    queue_s: float  # waited in the pool's queue; about 0 on a hit
    thaw_s: float
    lease_s: float  # from asking to having it, this side's clock


@dataclass(slots=True, eq=False)
class _Pending:
    """A caller that waits for its answer. Set once: by the receiver, or by the connection's end (None)."""

    arrived: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | None = None
    descriptor: int | None = None


class PoolClient:
    """One connection to the pool daemon, made again when it breaks. Callers meanwhile get `PoolUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._pending: dict[int, _Pending] = {}
        self._outbox: deque[bytes] = deque()  # packets that the socket has no room for yet
        self._unsent = anyio.Event()
        self._next_id = 1
        self._away = "not tried yet"  # why there is no connection
        self._away_since = time.monotonic()

    def __repr__(self) -> str:
        state = "connected" if self._socket else "away"
        return f"<PoolClient {self._path} {state}, {len(self._pending)} pending>"

    @classmethod
    @asynccontextmanager
    async def connect(cls, path: Path) -> AsyncIterator[PoolClient]:
        """Connect now if the daemon is there, else as soon as it is; stay so until the end of the block."""
        client = cls(path)
        try:
            async with anyio.create_task_group() as tasks:
                client._open()
                tasks.start_soon(client._stay_connected)
                tasks.start_soon(client._empty_outbox)
                yield client
                tasks.cancel_scope.cancel()
        finally:
            client.disconnect("closed")  # only now: one of the tasks may have connected again meanwhile

    async def lease(
        self,
        template: str,
        *,
        caller: str = "",
        priority: Priority = Priority.INTERACTIVE,
        wait_s: float | None = None,
        within_s: float = math.inf,
    ) -> Lease:
        """A lease on a sandbox of `template`, thawed and waiting; raises a `PoolError`.

        The daemon itself refuses who has waited for `wait_s` (None: the template's); `within_s` is for one that hangs.
        Cancelled at any point it leaves nothing leased.
        """
        started = time.monotonic()
        ask_id, pending = self._ask(op="lease", template=template, caller=caller, priority=priority, wait_s=wait_s)
        with anyio.move_on_after(within_s) as deadline:
            try:
                await pending.arrived.wait()
            except BaseException:
                # Either the answer has arrived and is ours to give back, or it will find nobody, and `_receive` does.
                if pending.answer is not None:
                    self._give_back(pending.answer, pending.descriptor)
                elif self._pending.pop(ask_id, None) is not None:
                    self._tell(Ask(id=ask_id, op="cancel"))
                raise
        if deadline.cancelled_caught:
            raise PoolUnavailable(f"the pool daemon at {self._path} did not answer within {within_s:g} s")
        answer, descriptor = self._checked(pending), pending.descriptor
        if not isinstance(answer, Granted) or descriptor is None:
            raise PoolUnavailable(f"the pool daemon answered {answer!r} to a lease")
        channel = Channel(socket.socket(fileno=descriptor), answer.transport)
        return Lease(
            id=answer.lease,
            sandbox_id=answer.sandbox,
            template=template,
            channel=channel,
            queue_s=answer.queue_s,
            thaw_s=answer.thaw_s,
            lease_s=time.monotonic() - started,
        )

    def release(self, lease: Lease, reason: str) -> None:
        """End the lease: the sandbox is destroyed in the background. Never waits; closes the channel."""
        lease.channel.close()
        self._tell(Ask(id=0, op="end", lease=lease.id, reason=reason))

    async def usage(self, lease: Lease) -> Usage:
        """The host's own counters for a sandbox that is still leased."""
        _, pending = self._ask(op="usage", lease=lease.id)
        await pending.arrived.wait()
        answer = self._checked(pending)
        if not isinstance(answer, UsageIs):
            raise PoolUnavailable(f"the pool daemon answered {answer!r} to a question for usage")
        return Usage(answer.oom_kills, answer.memory_peak_bytes, answer.cpu_ns)

    async def stats(self) -> PoolStats:
        """Numbers of every pool."""
        _, pending = self._ask(op="stats")
        await pending.arrived.wait()
        answer = self._checked(pending)
        if not isinstance(answer, StatsAre):
            raise PoolUnavailable(f"the pool daemon answered {answer!r} to a question for statistics")
        return answer.stats

    async def sandboxes(self, template: str) -> SandboxesAre:
        """Every sandbox of one template, as an operator sees it; raises `UnknownTemplate`, too."""
        _, pending = self._ask(op="sandboxes", template=template)
        await pending.arrived.wait()
        answer = self._checked(pending)
        if not isinstance(answer, SandboxesAre):
            raise PoolUnavailable(f"the pool daemon answered {answer!r} to a question for sandboxes")
        return answer

    # -- asking -----------------------------------------------------------------------------------------------------

    def _ask(self, **values: object) -> tuple[int, _Pending]:
        ask = Ask.model_validate({"id": self._next_id, **values})
        self._next_id += 1
        self._post(ask)
        pending = self._pending[ask.id] = _Pending()
        return ask.id, pending

    def _tell(self, ask: Ask) -> None:
        """Say something that has no answer. Lost only with the connection, which ends every lease anyway."""
        with suppress(PoolUnavailable):
            self._post(ask)

    def _post(self, ask: Ask) -> None:
        """Send it now, or as soon as the daemon has read what was sent before."""
        if self._socket is None:
            # Nothing is known of when it will be there. What has been away for long is likely to stay away for long.
            away_s = min(time.monotonic() - self._away_since, _LONGEST_AWAY_S)
            why = f"the pool daemon at {self._path} is not there: {self._away}"
            raise PoolUnavailable(why, retry_after_s=max(1.0, away_s))
        packet = ask.model_dump_json(exclude_defaults=True).encode()
        if not self._outbox:
            try:
                self._socket.send(packet)
            except BlockingIOError:
                pass
            except OSError as error:  # the receiver meets the same end, and closes
                raise PoolUnavailable(f"the pool daemon at {self._path} is gone: {error.strerror}") from error
            else:
                return
        if len(self._outbox) >= _OUTBOX_PACKETS:
            self.disconnect("the pool daemon does not read")
            raise PoolUnavailable(f"the pool daemon at {self._path} does not read")
        self._outbox.append(packet)
        self._unsent.set()

    async def _empty_outbox(self) -> None:
        while True:
            await self._unsent.wait()
            self._unsent = anyio.Event()
            while self._outbox and (sock := self._socket) is not None:
                try:
                    sock.send(self._outbox[0])
                    self._outbox.popleft()
                except BlockingIOError:
                    with suppress(anyio.ClosedResourceError):
                        await anyio.wait_writable(sock)
                except OSError:
                    break

    def _checked(self, pending: _Pending) -> Answer:
        if pending.answer is None:
            raise PoolUnavailable(f"the pool daemon at {self._path} went away")
        if isinstance(pending.answer, Refused):
            refused = pending.answer
            raise BY_CODE.get(refused.code, PoolUnavailable)(refused.message, retry_after_s=refused.retry_after_s)
        return pending.answer

    # -- the connection ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        sock = new_socket()
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            if self._away != (why := error.strerror or str(error)):  # once for each reason, not ten times a second
                log.warning("no pool daemon at %s: %s", self._path, why)
            self._away = why
        else:
            self._socket = sock
            self._away = ""
            log.info("connected to the pool daemon at %s", self._path)

    async def _stay_connected(self) -> None:
        while True:
            if self._socket is None:
                await anyio.sleep(_RECONNECT_S)
                self._open()
            else:
                await self._receive(self._socket)

    async def _receive(self, sock: socket.socket) -> None:
        """Until this connection ends."""
        while self._socket is sock:
            try:
                packet, descriptor = _receive_packet(sock)
            except BlockingIOError:
                with suppress(anyio.ClosedResourceError, OSError):
                    await anyio.wait_readable(sock)
                continue
            except OSError as error:
                self.disconnect(f"reading from the pool daemon: {error.strerror}")
                return
            if not packet:
                self.disconnect("the pool daemon ended the connection")
                return
            try:
                answer = ANSWER.validate_json(packet)
            except ValidationError as error:
                self.disconnect(f"the pool daemon sent what is not a message: {error}")
                return
            pending = self._pending.pop(answer.id, None)
            if pending is None:
                self._give_back(answer, descriptor)
                continue
            pending.answer, pending.descriptor = answer, descriptor
            pending.arrived.set()

    def _give_back(self, answer: Answer, descriptor: int | None) -> None:
        """An answer whose caller has gone."""
        if descriptor is not None:
            os.close(descriptor)
        if isinstance(answer, Granted):
            self._tell(Ask(id=0, op="end", lease=answer.lease, reason="caller gone"))

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    def disconnect(self, why: str) -> None:
        """End the connection, and with it every lease; a new one is made at once if the daemon is there."""
        if self._socket is None:
            return
        log.info("%r: %s", self, why)
        self._away = why
        self._away_since = time.monotonic()
        anyio.notify_closing(self._socket)
        self._socket.close()
        self._socket = None
        self._outbox.clear()
        for pending in self._pending.values():
            pending.arrived.set()
        self._pending.clear()


def _receive_packet(sock: socket.socket) -> tuple[bytes, int | None]:
    """One packet and the descriptor it carried; close-on-exec from the start."""
    size = array.array("i").itemsize
    packet, ancillary, flags, _ = sock.recvmsg(MAX_PACKET_BYTES, socket.CMSG_LEN(size), socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % size])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    return packet, descriptors[0] if descriptors else None
