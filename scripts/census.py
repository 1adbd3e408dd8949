"""Say what a test run left on this machine: containers, processes and mounts that were not there before it.

Used by scripts/test:  census.py take FILE  before, then  census.py containers FILE  and, when an engine that the run
itself started has ended,  census.py rest FILE MARK.  Prints what is left and exits 1, or prints nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import docker

from pool.container_config import LABEL_SANDBOX

#: The engine removes a container's mounts a moment after it has said that the container is gone.
PATIENCE_S = 10.0
#: Mounts that an engine makes for the containers it runs.
_OF_CONTAINERS = re.compile(r"/(overlay2|netns|containers|io\.containerd[^/]*)/")


def containers(*, ours: bool) -> set[str]:
    """Names of the engine's containers: our sandboxes, or all that are running."""
    client = docker.from_env()
    try:
        filters = {"label": LABEL_SANDBOX} if ours else {"status": "running"}
        return {container["Names"][0] for container in client.api.containers(all=ours, filters=filters)}
    finally:
        client.close()


def known_ids() -> set[str]:
    """Ids of all containers the engine knows."""
    client = docker.from_env()
    try:
        return {container["Id"] for container in client.api.containers(all=True)}
    finally:
        client.close()


def mounts() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def processes(mark: str) -> set[str]:
    """Processes that have `mark` in their environment: the tests were started with it, and children inherit it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark.encode() in (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it has just ended
        if marked and int(process.name) != os.getpid():
            found.add(f"{process.name} {command}")
    return found


def shims() -> set[str]:
    """Ids of the containers that a shim process is there for. The engine must end each with its container."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name.startswith("containerd-shim") and "-id" in words:
            found.add(words[words.index("-id") + 1])
    return found


def main(action: str, file: str, mark: str = "") -> int:
    if action == "take":
        seen = {"containers": containers(ours=True), "mounts": mounts(), "shims": shims()}
        Path(file).write_text(json.dumps({what: sorted(names) for what, names in seen.items()}))
        return 0
    before = json.loads(Path(file).read_text())
    deadline = time.monotonic() + PATIENCE_S
    while left := _left(action, before, mark):
        if time.monotonic() > deadline:
            print(*left, sep="\n", file=sys.stderr)
            return 1
        time.sleep(0.2)
    return 0


def _left(action: str, before: dict[str, list[str]], mark: str) -> list[str]:
    if action == "containers":
        orphans = shims() - set(before["shims"])  # looked at first: a container is known before it has a shim
        orphans -= known_ids() if orphans else set()
        return [
            *(f"container left behind: {name}" for name in containers(ours=True) - set(before["containers"])),
            *(f"process left behind: the shim of container {one}, which is gone" for one in orphans),
        ]
    new = mounts() - set(before["mounts"])
    if any(_OF_CONTAINERS.search(mount) for mount in new) and _others_run():
        new = {mount for mount in new if not _OF_CONTAINERS.search(mount)}
    return [
        *(f"process left behind: {process}" for process in processes(mark)),
        *(f"mount left behind: {mount}" for mount in new),
    ]


def _others_run() -> bool:
    try:
        return bool(containers(ours=False))
    except docker.errors.DockerException:
        return False  # the engine was ours and has been stopped


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
