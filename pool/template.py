"""What one kind of sandbox is: image, limits and pool sizes for one language or flavour. Frozen; from petri.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The program's name in the work directory, by language.
PROGRAMS = {"python": "main.py", "node": "main.js", "go": "main.go"}

#: Bytes of /dev/shm. multiprocessing's semaphores and small shared arrays fit; it counts against the memory limit.
SHM_MIB = 16

#: What must remain of the memory limit when every tmpfs is full, or a full disk would end the run as out of memory.
_HEADROOM_MIB = 64

_Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Template(BaseModel):
    """One kind of sandbox. Sizes are MiB or KiB as named, durations seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="what a request's `language` names")
    language: Literal["python", "node", "go"] = Field(description="`python`, `node` or `go`: names the program file")
    image: str = Field(min_length=1, description="image with an agent and a worker in it")
    runtime: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$",
        description="what the engine runs it with, such as `runsc`; empty: the engine's own choice",
    )
    memory_mib: int = Field(256, ge=64, le=1 << 20, description="memory, and memory + swap")
    pids: int = Field(64, ge=8, le=32_768, description="processes and threads at once")
    cpus: float = Field(1.0, gt=0, le=1024, allow_inf_nan=False, description="share of processors")
    workdir_mib: int = Field(64, ge=1, description="size of /workspace, in memory")
    tmp_mib: int = Field(64, ge=1, description="size of /tmp, in memory")
    timeout_s: _Seconds = Field(10.0, description="wall clock of a run that names none")
    max_timeout_s: _Seconds = Field(300.0, description="longest wall clock a run may ask for")
    stream_limit_kib: int = Field(1024, ge=1, le=64 << 10, description="kept of each of stdout and stderr")
    output_limit_kib: int = Field(16 << 10, ge=1, description="of both, after which the run is killed")
    target: int = Field(4, ge=0, le=10_000, description="sandboxes kept ready, at least")
    max_target: int = Field(
        0, ge=0, le=10_000, description="most kept ready as demand rises; up to `target`: always that"
    )
    miss_target: float = Field(
        0.001, gt=0, lt=1, allow_inf_nan=False, description="share of leases that may find none ready; sets the size"
    )
    max_sandboxes: int = Field(32, ge=1, le=10_000, description="sandboxes at once, in any state")
    max_waiting: int = Field(64, ge=0, le=100_000, description="callers that may wait; more are refused at once")
    wait_s: _Seconds = Field(5.0, description="how long a caller waits for a sandbox")
    max_idle_s: _Seconds = Field(3600.0, description="a sandbox ready for longer is replaced")
    boot_timeout_s: _Seconds = Field(30.0, description="from create to HELLO")

    @property
    def highest_target(self) -> int:
        """What `max_target` comes to: whoever raises `target` or lowers `max_sandboxes` need not think of it."""
        return max(self.target, min(self.max_target, self.max_sandboxes))

    @property
    def program(self) -> str:
        """Name of the program's file in the work directory."""
        return PROGRAMS[self.language]

    @classmethod
    def disagreements(cls, values: Mapping[str, Any]) -> list[str]:
        """What cannot hold together among `values`; says nothing of those that are not among them."""
        found = []
        for small, large in (
            ("timeout_s", "max_timeout_s"),
            ("target", "max_sandboxes"),
            ("stream_limit_kib", "output_limit_kib"),
        ):
            if {small, large} <= values.keys() and values[small] > values[large]:
                found.append(f"{small} {values[small]:g} is above {large} {values[large]:g}")
        if {"workdir_mib", "tmp_mib", "memory_mib"} <= values.keys():
            filled = values["workdir_mib"] + values["tmp_mib"] + SHM_MIB
            if filled + _HEADROOM_MIB > values["memory_mib"]:
                found.append(
                    f"workdir_mib {values['workdir_mib']} + tmp_mib {values['tmp_mib']} + {SHM_MIB} of /dev/shm leave "
                    f"less than {_HEADROOM_MIB} of memory_mib {values['memory_mib']}"
                )
        return found

    @model_validator(mode="after")
    def _numbers_agree(self) -> Self:
        if faults := self.disagreements(self.__dict__):
            raise ValueError("; ".join(faults))
        return self
