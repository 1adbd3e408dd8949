"""What gateway and pool daemon say to each other: one JSON object per packet of a SEQPACKET socket.

A packet arrives whole or not at all, and a file descriptor with the packet it was sent with. The daemon's
socket accepts template names and lease ids; nothing in here names an image, a path or an engine call.

    gateway → pool    Ask(id, op="lease", template, caller, priority, wait_s)
                                                     the answer carries the sandbox's stream as a descriptor
                      Ask(id, op="cancel")           of the Ask with this id; an answer may already be on its way
                      Ask(id, op="end", lease, reason)      no answer; the reason may be FINISHED
                      Ask(id, op="usage", lease) · Ask(id, op="stats")
                      Ask(id, op="sandboxes", template)
    pool → gateway    Granted | Refused | UsageIs | StatsAre | SandboxesAre, each with the id it answers
"""

from __future__ import annotations

import socket
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pool.stats import PoolStats, SandboxView
from pool.waiting import Priority
from runners.channel import Transport

#: Largest packet. The kernel's limit is the sender's buffer (about 208 KiB by default); statistics of forty pools
#: are the largest thing sent and take a third of this.
MAX_PACKET_BYTES = 128 << 10

#: Why a lease ends when its run is over and the agent has ended all that the guest had started: nothing goes on in the
#: sandbox, and taking it down can wait. Any other reason takes the channel away at once, which ends what is in there.
FINISHED = "finished"


#: Names of members are kept for the next message, and no values: pydantic would keep 16,384 ids that never come again.
_READING = ConfigDict(cache_strings="keys")


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, **_READING)


class Ask(_Message):
    """From the gateway. `id` is unique on its connection while an answer is due."""

    id: int
    op: Literal["lease", "cancel", "end", "usage", "stats", "sandboxes"]
    template: str = ""
    caller: str = Field("", max_length=128)  # who is to have a fair share of what there is
    priority: Priority = Priority.INTERACTIVE
    wait_s: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)  # None: the template's
    lease: str = ""
    reason: str = ""


class Granted(_Message):
    """A lease; the packet carries one descriptor."""

    kind: Literal["granted"] = "granted"
    id: int
    lease: str
    sandbox: str
    transport: Transport
    queue_s: float
    thaw_s: float


class Refused(_Message):
    """No lease, or no such lease. `code` is a `PoolError` code."""

    kind: Literal["refused"] = "refused"
    id: int
    code: str
    message: str
    retry_after_s: float


class UsageIs(_Message):
    kind: Literal["usage"] = "usage"
    id: int
    oom_kills: int
    memory_peak_bytes: int | None
    cpu_ns: int | None


class StatsAre(_Message):
    kind: Literal["stats"] = "stats"
    id: int
    stats: PoolStats


class SandboxesAre(_Message):
    """Sandboxes of one template, the longest in their state first; `left_out` of them did not fit."""

    kind: Literal["sandboxes"] = "sandboxes"
    id: int
    sandboxes: tuple[SandboxView, ...]
    left_out: int


Answer = Granted | Refused | UsageIs | StatsAre | SandboxesAre
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")], config=_READING)


def new_socket() -> socket.socket:
    """A socket of the kind both ends use, not blocking."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setblocking(False)
    return sock
