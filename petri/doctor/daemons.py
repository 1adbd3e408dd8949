"""Look at the engine's processes: do they run what is installed, and do they take commands over TCP without TLS?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from petri.doctor import tcp_api

#: Component -> the name of its process.
_DAEMONS = {"docker": "dockerd", "containerd": "containerd"}


@dataclass(frozen=True, slots=True)
class Daemons:
    """What is known of the components' processes. Of one that is in `unseen` nothing good may be concluded."""

    replaced: frozenset[str] = frozenset()  # components that run from a file since replaced: upgraded, not restarted
    plain_apis: tuple[str, ...] = ()  # where an engine answers over TCP without TLS
    unseen: Mapping[str, str] = field(default_factory=dict)  # by component, why a process of it cannot be looked at


def look_at_daemons(proc: Path = Path("/proc")) -> Daemons:
    """All that are visible; only root may look into those of other users."""
    replaced, seen = set(), set()
    apis: list[str] = []
    unseen = {}
    for component, process in _processes(proc):
        try:
            if str((process / "exe").readlink()).endswith(" (deleted)"):
                replaced.add(component)
            if component == "docker":
                apis += tcp_api.plain_apis(process)
            seen.add(component)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        except OSError as error:
            unseen[component] = f"{_DAEMONS[component]} cannot be looked into: {error.strerror}"
    hidden = {component: f"no {name} is visible" for component, name in _DAEMONS.items() if component not in seen}
    return Daemons(frozenset(replaced), tuple(apis), hidden | unseen)


def _processes(proc: Path) -> Iterator[tuple[str, Path]]:
    components = {name: component for component, name in _DAEMONS.items()}
    for comm in proc.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if component := components.get(comm.read_text().strip()):
                yield component, comm.parent
