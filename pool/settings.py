"""How the pool daemon runs. Read once by the command line and passed down; nothing here reads the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PoolSettings(BaseModel):
    """The pool daemon's settings, the same for every template."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(
        "default",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="pools on one host need own names, of `a` to `z`, `0` to `9`, `-` and `_`",
    )
    docker_host: str = Field("", description="the engine's address; empty: `DOCKER_HOST`, else the default socket")
    boots_at_once: int = Field(2, ge=1, le=64, description="containers that may be booting at one time")
    destroys_at_once: int = Field(2, ge=1, le=64, description="containers that may be on their way out at one time")
    uid_base: int = Field(
        210_000,
        ge=1_000,
        le=2**31,
        description="a sandbox in slot n is user id uid_base + n; each further pool of the host has the next 65,536",
    )
    drain_s: float = Field(10.0, ge=0, le=3600, allow_inf_nan=False, description="at shutdown, how long runs may go on")
    close_s: float = Field(15.0, gt=0, le=600, allow_inf_nan=False, description="and then, how long removals may take")
    freezer: Literal["auto", "cgroup", "docker"] = Field(
        "auto", description="`auto`; or insist on a way to freeze: `cgroup` or `docker` (its pause)"
    )
    selfcheck: bool = Field(True, description="lease nothing before a sandbox was looked at from inside")
    production: bool = Field(False, description="do not start on a host that `petri doctor --strict` calls bad")
    log_format: Literal["text", "json"] = Field(
        "text", description="how the log is written, to standard error: `text` or `json`, an object a line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is left out of the log: everything below `debug`, `info`, `warning` or `error`"
    )
