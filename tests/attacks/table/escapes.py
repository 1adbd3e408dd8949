"""E: get out. Namespaces, the kernel's rarer calls, sockets, setuid files, files to write to, services of the host."""

from __future__ import annotations

from tests.attacks.attack import Attack
from tests.attacks.outcome import Blocked

_MOUNT = "mount tmpfs, mount proc, bind mount, remount the root, unmount /proc, pivot_root, chroot, open_tree, fsopen"
_NAMESPACES = "unshare user, unshare everything, clone user, enter the agent's namespaces, enter one's own"


def _each(names: str, result: str) -> dict[str, str]:
    return dict.fromkeys(names.split(", "), result)


ATTACKS = (
    Attack(
        row="E1",
        name="e01_namespaces",
        aim="Namespaces of one's own, in which one is root, and mounts",
        expected={
            "python": Blocked(
                attempts={**_each(_NAMESPACES, "EPERM"), **_each(_MOUNT, "EPERM"), "clone3 user": "ENOSYS"}
            )
        },
    ),
)
