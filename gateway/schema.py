"""The JSON that callers send and get: one model per object, each field with its form and its limit."""

from __future__ import annotations

import binascii
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

#: Counts of things in one request. Each is what one EXEC frame can carry without coming near its 1 MiB, and more than
#: a person or a model has been seen to send; raise them together with that frame.
MAX_FILES = 1000
MAX_ARGS = 1024
MAX_ENV = 1024
MAX_METADATA = 64
#: Names longer than these the kernel refuses (NAME_MAX, PATH_MAX).
MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4096
#: Directories in one path. The work directory is a tmpfs and every level costs it an inode; deeper is a mistake.
MAX_DEPTH = 32


class _Received(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True)


# -- what callers send --------------------------------------------------------------------------------------------


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain a NUL character")
    return text


def _relative(path: str) -> str:
    """A path that stays in the work directory whatever lies there; symbolic links are the agent's to refuse."""
    if not path:
        raise PydanticCustomError("path", "must not be empty")
    if path.startswith("/"):
        raise PydanticCustomError("path", "must be relative to /workspace, not absolute")
    if "\0" in path:
        raise PydanticCustomError("path", "must not contain a NUL character")
    components = path.split("/")
    if ".." in components:
        raise PydanticCustomError("path", "must not climb with '..'")
    if "" in components or "." in components:
        raise PydanticCustomError("path", "must not have empty or '.' components")
    if len(components) > MAX_DEPTH:
        raise PydanticCustomError(
            "path", "has {n} components; at most {most}", {"n": len(components), "most": MAX_DEPTH}
        )
    longest = max(len(component.encode()) for component in components)
    if longest > MAX_COMPONENT_BYTES:
        raise PydanticCustomError(
            "path", "has a component of {n} bytes; at most {most}", {"n": longest, "most": MAX_COMPONENT_BYTES}
        )
    if (size := len(path.encode())) > MAX_PATH_BYTES:
        raise PydanticCustomError("path", "is {n} bytes long; at most {most}", {"n": size, "most": MAX_PATH_BYTES})
    return path


def _directory(path: str) -> str:
    """A directory of the work directory, relative to it; empty for itself. People write it absolutely, too."""
    if path in (".", "/workspace", "/workspace/"):
        return ""
    return _relative(path.removeprefix("/workspace/").removesuffix("/"))


def _variable(name: str) -> str:
    if not name:
        raise PydanticCustomError("env", "the name must not be empty")
    if "=" in name or "\0" in name:
        raise PydanticCustomError("env", "the name must not contain '=' or a NUL character")
    return name


def _decoded(content: object, info: ValidationInfo) -> bytes:
    if not isinstance(content, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    if info.data.get("encoding") != "base64":
        return content.encode()
    try:
        return binascii.a2b_base64(content, strict_mode=True)
    except (binascii.Error, ValueError) as error:  # ValueError: characters outside ASCII
        raise PydanticCustomError("base64", "is not base64: {why}", {"why": str(error)}) from None


Text = Annotated[str, AfterValidator(_without_nul)]
Path = Annotated[str, AfterValidator(_relative)]
Directory = Annotated[str, AfterValidator(_directory)]
Args = Annotated[list[Text], Field(max_length=MAX_ARGS)]
Env = Annotated[dict[Annotated[str, AfterValidator(_variable)], Text], Field(max_length=MAX_ENV)]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=1024)]],
    Field(max_length=MAX_METADATA),
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Language = Annotated[str, Field(min_length=1, max_length=63)]
OutputEncoding = Literal["utf-8", "base64"]
Priority = Literal["interactive", "batch"]


class File(_Received):
    """A file to lie in the work directory before the run starts."""

    path: Path = Field(description="relative to /workspace; directories are made")
    encoding: Literal["utf-8", "base64"] = Field("utf-8", description="how `content` is written here")
    content: Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string"})] = Field(
        description="what is in it"
    )


Files = Annotated[list[File], Field(max_length=MAX_FILES)]


class _Input(_Received):
    """What a one-shot run and an exec in a session have in common."""

    files: Files = Field(default_factory=list, description="files that lie beside the program")
    stdin: str = Field("", description="standard input")
    args: Args = Field(default_factory=list, description="the program's arguments")
    env: Env = Field(default_factory=dict, description="environment variables, added to the sandbox's own")
    timeout_s: Seconds | None = Field(None, description="wall clock for the run; default and maximum: the template's")
    output_encoding: OutputEncoding = Field("utf-8", description="`base64`: the three texts are raw bytes in base64")


class RunRequest(_Input):
    """One fresh sandbox, one run, gone."""

    language: Language = Field(description="name of a template")
    code: str = Field(min_length=1, description="the program")
    priority: Priority = Field("interactive", description="`batch` waits behind `interactive`")
    metadata: Metadata = Field(default_factory=dict, description="your own labels")


class BatchRunRequest(RunRequest):
    """One run of a batch; always of priority `batch`."""

    id: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(None, description="your own name for it")
    priority: Literal["batch"] = Field("batch", description="there is no other here")


class BatchRequest(_Received):
    """Many runs, each in a fresh sandbox of its own, in no order to rely on."""

    runs: Annotated[list[BatchRunRequest], Field(min_length=1, max_length=1000)] = Field(description="1 to 1,000")


class ExecRequest(_Input):
    """Something to run in a session's sandbox: exactly one of `code`, `command` and `argv`."""

    code: str | None = Field(None, min_length=1, description="a program in the sandbox's language")
    command: Annotated[Text, Field(min_length=1)] | None = Field(None, description="a line for `/bin/sh -c`")
    argv: Annotated[Args, Field(min_length=1)] | None = Field(None, description="a command and its arguments")
    cwd: Directory | None = Field(None, description="directory to start in: /workspace, or one beneath it")


class SandboxRequest(_Received):
    """A session over one sandbox."""

    language: Language = Field(description="name of a template")
    timeout_s: Seconds | None = Field(None, description="time to live, from now")
    env: Env = Field(default_factory=dict, description="environment variables of every exec")
    priority: Priority = Field("interactive", description="`batch` waits behind `interactive`")
    metadata: Metadata = Field(default_factory=dict, description="your own labels; shown again with the sandbox")


# -- what they get ------------------------------------------------------------------------------------------------

RunStatus = Literal["succeeded", "failed", "timed_out", "oom", "output_limit", "cancelled"]


class Timings(_Sent):
    """Milliseconds."""

    queue: float = Field(description="waited for a sandbox to become ready")
    lease: float = Field(description="thawing it and handing it over")
    run: float = Field(description="from sending the program to its end")
    total: float = Field(description="from the request's head to the answer")


class RunError(_Sent):
    """Why a run did not succeed, in a word and in a sentence."""

    kind: Literal["user", "limit"] = Field(description="`user`: the program's own end; `limit`: it met one")
    code: Literal["nonzero_exit", "signal", "timed_out", "oom", "output_limit"]
    message: str


class RunAnswer(_Sent):
    """What the program did. Exactly one of `exit_code` and `signal` is null."""

    run_id: str
    sandbox_id: str
    language: str
    status: RunStatus = Field(description="no answer carries `cancelled` yet: whoever left is not there to read it")
    exit_code: int | None
    signal: str | None = Field(description="name of the signal that ended it")
    stdout: str
    stderr: str
    output: str = Field(description="both, in order of arrival")
    stdout_truncated: bool
    stderr_truncated: bool
    duration_ms: float
    timings_ms: Timings
    error: RunError | None


class SandboxAnswer(_Sent):
    """A session's sandbox."""

    id: str
    language: str
    status: Literal["ready", "running"]
    created_at: str = Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})
    expires_at: str = Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})
    metadata: dict[str, str]


class SandboxesAnswer(_Sent):
    sandboxes: list[SandboxAnswer]


class PoolSizing(_Sent):
    """Where `target` comes from."""

    because: Literal["low", "parallel", "queue", "high"] = Field(
        description="`low`: the template's least; `parallel`, `queue`: what demand needs; `high`: the most there may be"
    )
    low: int
    high: int
    arrivals_per_s: float = Field(description="leases asked for per second, lately")
    boot_s: float = Field(description="seconds that a boot takes, lately")


class PoolAnswer(_Sent):
    """One template's warm pool at this moment."""

    template: str
    target: int
    sizing: PoolSizing
    ready: int
    booting: int
    leased: int
    doomed: int
    quarantined: int = Field(description="of the doomed, those that the engine has failed to remove; tried again")
    waiting: int
    refill_per_s: float | None = Field(description="become ready per second while they are wanted; null: not measured")
    image: str
    engine: str
    freezer: str
    trouble: str | None = Field(description="why it cannot lease now")
    boot_failures: dict[str, int] = Field(description="boots that failed since the pool's start, by reason")


class PoolsAnswer(_Sent):
    pools: list[PoolAnswer]


class PoolSandbox(_Sent):
    """One sandbox of a pool, whoever has it."""

    id: str
    state: str = Field(description="`booting`, `ready`, `leased` or `doomed`")
    seconds: float = Field(description="in this state")
    reason: str = Field(description="why it came into it; where the engine does not remove it, also what it says")


class PoolSandboxesAnswer(_Sent):
    template: str
    sandboxes: list[PoolSandbox] = Field(description="the longest in their state first")
    left_out: int = Field(description="how many more there are")


class BatchCounts(_Sent):
    runs: int
    executed: int
    not_executed: int
    statuses: dict[str, int] = Field(description="of the run objects, by `status`")


class HealthAnswer(_Sent):
    status: Literal["ok"]


class ReadyAnswer(_Sent):
    status: Literal["ready"]


class FaultAnswer(_Sent):
    field: str = Field(description="such as `files[0].path`; `body` for the whole")
    message: str


class ProblemAnswer(_Sent):
    """RFC 9457."""

    type: str = Field(description="where the code is explained")
    title: str
    status: int
    detail: str
    code: str
    retryable: bool = Field(description="the same request may be sent again")
    errors: list[FaultAnswer] = Field(default_factory=list, description="with `invalid_request`")
    reason: str | None = Field(None, description="with `sandbox_gone`")
    retry_after_s: int | None = Field(None, description="in a batch, where there is no header Retry-After")


class BatchLine(_Sent):
    """One line of a batch's stream. A stream without an `end` was cut off."""

    type: Literal["result", "keepalive", "end"]
    index: int | None = Field(None, description="of a `result`: the run's place in the request")
    id: str | None = Field(None, description="of a `result`: the run's own, or null")
    executed: bool | None = Field(None, description="of a `result`: false where no code has run")
    run: RunAnswer | None = Field(None, description="of a `result`: the run object")
    problem: ProblemAnswer | None = Field(None, description="of a `result` without a run object: why there is none")
    counts: BatchCounts | None = Field(None, description="of the `end`")
