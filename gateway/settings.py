"""How the gateway runs. Read once by the command line and passed down; nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: User and group the gateway becomes when root started it. A number of its own, because processes of one user id can
#: signal and inspect each other: far from people's ids (from 1000), from those that systemd hands out by itself (61 184
#: to 65 519) and from the sandboxes' (from 210 000). Needs no entry in /etc/passwd; change it where something else on
#: the host runs under this number.
GATEWAY_UID = 70_000


#: Whoever reaches the port can run code: nobody has to show a key yet.
LOOPBACK_ONLY = "without API keys the gateway listens on loopback only (127.0.0.1, ::1 or localhost)"

#: Settings of which the first may not be above the second. A body that is larger than all may be is always let go.
_AT_MOST = (
    ("sandbox_ttl_s", "sandbox_max_ttl_s"),
    ("body_limit_mib", "bodies_mib"),
    ("batch_body_limit_mib", "bodies_mib"),
)

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$")]
Origin = Annotated[str, Field(pattern=r"^https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$")]


class GatewaySettings(BaseModel):
    """The HTTP server's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    host: str = Field("127.0.0.1", min_length=1, max_length=253, description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0: any free one")
    pool_socket: Path = Field(Path("/run/petri/pool.sock"), description="where the pool daemon listens", strict=False)
    uid: int = Field(GATEWAY_UID, ge=1, le=2**31, description="user and group id to become when started as root")
    body_limit_mib: int = Field(8, ge=1, le=64, description="largest request body")
    batch_body_limit_mib: int = Field(16, ge=1, le=64, description="largest body of a batch")
    bodies_mib: int = Field(
        256,
        ge=1,
        le=1 << 16,
        description="memory for bodies that are still coming in, together; beyond it the oldest goes; as much again "
        "for those of batches and of who waits for an `Idempotency-Key`",
    )
    head_limit_kib: int = Field(32, ge=1, le=256, description="largest request head: request line and headers")
    head_timeout_s: float = Field(
        10.0, gt=0, le=3600, allow_inf_nan=False, description="time for a request's whole head to come in"
    )
    body_timeout_s: float = Field(
        30.0, gt=0, le=3600, allow_inf_nan=False, description="time for a request's whole body to come in"
    )
    max_connections: int = Field(
        1000, ge=1, le=65_536, description="connections at once; who has not sent a whole request makes room for others"
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        (), strict=False, description="names, besides localhost and addresses, that requests may be sent to"
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (), strict=False, description="origins of web pages, besides the gateway's own, that may change things"
    )
    batch_share: float = Field(
        0.5, gt=0, le=1, allow_inf_nan=False, description="of a template's `max_sandboxes`, for batches; at least one"
    )
    batch_wait_s: float = Field(
        60.0, gt=0, le=86_400, allow_inf_nan=False, description="how long one run of a batch waits for a sandbox"
    )
    drain_s: float = Field(10.0, ge=0, le=3600, allow_inf_nan=False, description="at shutdown, how long runs may go on")
    sandbox_ttl_s: float = Field(
        300.0, gt=0, le=86_400, allow_inf_nan=False, description="time to live of a sandbox whose creator names none"
    )
    sandbox_max_ttl_s: float = Field(
        3600.0, gt=0, le=86_400, allow_inf_nan=False, description="longest time to live that may be asked for"
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="how the log is written, to standard error: `text` or `json`, an object a line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is left out of the log: everything below `debug`, `info`, `warning` or `error`"
    )

    @property
    def body_limit_bytes(self) -> int:
        return self.body_limit_mib << 20

    @property
    def batch_body_limit_bytes(self) -> int:
        return self.batch_body_limit_mib << 20

    @property
    def bodies_bytes(self) -> int:
        return self.bodies_mib << 20

    @property
    def head_limit_bytes(self) -> int:
        return self.head_limit_kib << 10

    @classmethod
    def disagreements(cls, values: Mapping[str, Any]) -> list[str]:
        """What cannot hold together among `values`; says nothing of those that are not among them."""
        return [
            f"{small} {values[small]:g} is above {large} {values[large]:g}"
            for small, large in _AT_MOST
            if {small, large} <= values.keys() and values[small] > values[large]
        ]

    @model_validator(mode="after")
    def _they_agree(self) -> Self:
        if faults := self.disagreements(self.__dict__):
            raise ValueError("; ".join(faults))
        return self
