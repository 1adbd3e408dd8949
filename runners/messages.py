"""The JSON payloads of control frames that the host reads, validated: the agent's word is hostile input."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runners.wire import Frame, RunnerProtocolError


class _FromAgent(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)  # unknown keys are additions, not faults


class Hello(_FromAgent):
    """What the agent says first."""

    protocol: int
    agent: str = Field(max_length=100)
    language: str = Field(max_length=100)
    language_version: str = Field(max_length=100)


class Exit(_FromAgent):
    """How a run ended, as the agent saw it. Exactly one of `exit_code` and `signal` is set."""

    exit_code: int | None = Field(ge=0, le=255)
    signal: int | None = Field(ge=1, le=64)
    timed_out: bool = False
    output_limit: bool = False
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    duration_us: int = Field(default=0, ge=0)
    cpu_us: int = Field(default=0, ge=0)
    max_rss_kib: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_ending(self) -> Exit:
        if (self.exit_code is None) == (self.signal is None):
            raise ValueError("exactly one of exit_code and signal must be set")
        return self


class AgentError(_FromAgent):
    """Why the agent did not do what a stream asked for."""

    code: str = Field(max_length=100)
    message: str = Field(max_length=4096)


class Entry(_FromAgent):
    """One name in a sandbox's work directory."""

    name: str
    path: str
    type: Literal["file", "dir", "symlink"]
    size: int = Field(ge=0)
    mode: int = Field(ge=0)
    mtime: float


_Message = TypeVar("_Message", bound=BaseModel)


def parse(model: type[_Message], frame: Frame) -> _Message:
    """`frame`'s payload as `model`; anything else in there is a `RunnerProtocolError`."""
    try:
        return model.model_validate_json(frame.payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "payload"
        raise RunnerProtocolError(f"{frame.kind.name}: {where}: {first['msg']}") from None
