"""What a container runtime is to Petri: runc, gVisor, or one that is only known by name."""

from __future__ import annotations

from collections.abc import Collection

#: The runtime of engines that are told of no other.
RUNC = "runc"
GVISOR = "runsc"

#: Tasks of the host's that gVisor needs for itself (its kernel, its file server and a sandbox at rest take about 50),
#: and at most for each task of the guest: its kernel drives every process of the guest's through stubs, one for each of
#: its own threads that has run it. Measured with its ptrace platform on two processors: 27.
_OWN_TASKS = 128
_TASKS_PER_GUEST_TASK = 32


def family(runtime: str) -> str:
    """`runc`, `runsc`, or the name itself of one that Petri knows nothing of. Empty is the engine's own choice.

    An engine's operator chooses the name. gVisor is known by `runsc`, `runsc-` and anything, and its shim's name.
    """
    if runtime == GVISOR or runtime.startswith(("runsc-", "io.containerd.runsc.")):
        return GVISOR
    if runtime in ("", RUNC) or runtime.startswith("io.containerd.runc."):
        return RUNC
    return runtime


def host_tasks(runtime: str, pids: int) -> int:
    """The ceiling of the cgroup, in the host's processes and threads, under which a guest may have `pids` of its own.

    Where it is reached gVisor does not refuse the guest a process: it ends, and the sandbox with it.
    """
    return _OWN_TASKS + _TASKS_PER_GUEST_TASK * pids if family(runtime) == GVISOR else pids


#: What to do where an engine lacks one.
REMEDY = (
    'name it under "runtimes" in the engine\'s daemon.json and reload the engine (docs/runtimes.md), '
    "or take it out of the template"
)


def lacking(runtime: str, there: Collection[str]) -> str | None:
    """Why an engine that has the runtimes `there` cannot start a sandbox under `runtime`; None where it can."""
    # Docker 23 and newer find a shim by its name, without having been told of it.
    if not runtime or runtime in there or runtime.startswith("io.containerd."):
        return None
    return f"the engine has no runtime {runtime}; it has {', '.join(sorted(there)) or 'none that it tells of'}"
