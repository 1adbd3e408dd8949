"""The JSON payloads of control frames that the host reads, validated: the agent's word is hostile input."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from runners.wire import Frame, RunnerProtocolError


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


#: What may end up in a log line or before a person's eyes: no line breaks, no terminal escapes, no reversed writing.
_Printable = Annotated[str, AfterValidator(_printable)]
#: Whatever the agent counts fits 64 bits. JSON has numbers of 4,300 digits, which nothing behind this expects.
_Count = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]


class _FromAgent(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)  # unknown keys are additions, not faults


class Hello(_FromAgent):
    """What the agent says first."""

    protocol: _Count
    agent: _Printable = Field(max_length=100)
    language: _Printable = Field(max_length=100)
    language_version: _Printable = Field(max_length=100)


class Exit(_FromAgent):
    """How a run ended, as the agent saw it. Exactly one of `exit_code` and `signal` is set."""

    exit_code: int | None = Field(ge=0, le=255)
    signal: int | None = Field(ge=1, le=64)
    timed_out: bool = False
    output_limit: bool = False
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    duration_us: _Count = 0
    cpu_us: _Count = 0
    max_rss_kib: _Count = 0

    @model_validator(mode="after")
    def _one_ending(self) -> Exit:
        if (self.exit_code is None) == (self.signal is None):
            raise ValueError("exactly one of exit_code and signal must be set")
        return self


class AgentError(_FromAgent):
    """Why the agent did not do what a stream asked for."""

    code: _Printable = Field(max_length=100)
    message: _Printable = Field(max_length=4096)


class Entry(_FromAgent):
    """One name in a sandbox's work directory."""

    name: str = Field(max_length=255)
    path: str = Field(max_length=4096)
    type: Literal["file", "dir", "symlink"]
    size: _Count
    mode: _Count
    mtime: float = Field(allow_inf_nan=False)


_Message = TypeVar("_Message", bound=BaseModel)


def parse(model: type[_Message], frame: Frame) -> _Message:
    """`frame`'s payload as `model`; anything else in there is a `RunnerProtocolError`."""
    try:
        return model.model_validate_json(frame.payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "payload"
        raise RunnerProtocolError(f"{frame.kind.name}: {where}: {first['msg']}") from None
