"""What the host knows of a sandbox that it has made: all that the probes are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pool.masked_paths import masked_paths
from pool.runtimes import GVISOR, RUNC, family
from pool.template import Template

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


@dataclass(frozen=True, slots=True)
class Host:
    """This machine, which is the engine's own unless the engine is far away; and then nothing here can be equal."""

    namespaces: Mapping[str, str]  # the kernel's number of each that this process is in
    apparmor: bool

    @classmethod
    def of_this_process(cls) -> Host:
        found = {}
        for kind in _NAMESPACES:
            try:
                found[kind] = str(Path(f"/proc/self/ns/{kind}").readlink())
            except OSError:  # a kernel without it
                continue
        try:
            apparmor = _APPARMOR.read_text().strip() == "Y"
        except OSError:
            apparmor = False
        return cls(found, apparmor)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One sandbox as it ought to be."""

    template: Template
    uid: int
    image_variables: frozenset[str]  # names in the image's own environment
    host: Host

    @property
    def runtime(self) -> str:
        """`runc`, `runsc`, or the name of one that Petri knows nothing of: it is then judged as runc is."""
        return family(self.template.runtime)

    @property
    def own_kernel(self) -> bool:
        """The guest's kernel is gVisor's: what it shows of itself is neither the host's nor Linux's own."""
        return self.runtime == GVISOR

    @property
    def hidden(self) -> tuple[str, ...]:
        return masked_paths()


def runtime_of(template: Template) -> str:
    """The container runtime that the template's sandboxes are started with."""
    return template.runtime or RUNC
