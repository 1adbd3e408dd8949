"""Give root up for good, and prove it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38

#: Sets of capabilities that must be empty. The bounding set is not among them: without the right to gain privileges by
#: running a file, what it allows cannot be reached.
_MUST_BE_EMPTY = ("CapInh", "CapPrm", "CapEff", "CapAmb")


class StillPrivileged(Exception):
    """Root could not be given up, or could be had again. Do not serve."""


def drop_root(uid: int) -> None:
    """Become user and group `uid` without any other group or capability, for good. Not root: change nothing.

    Nothing that only root may read can be opened, or imported, afterwards.
    """
    if os.geteuid() != 0:
        return
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise StillPrivileged(f"cannot become user and group {uid}: {error.strerror}") from error
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise StillPrivileged(f"cannot set no_new_privs: {os.strerror(ctypes.get_errno())}")
    _prove(uid)


def _prove(uid: int) -> None:
    held = {"user": os.getresuid(), "group": os.getresgid()}
    for what, ids in held.items():
        if ids != (uid, uid, uid):
            raise StillPrivileged(f"{what} ids are {ids}, not {uid}")
    if groups := os.getgroups():
        raise StillPrivileged(f"still in the groups {groups}")
    for what, become in (("user", os.setresuid), ("group", os.setresgid)):
        try:
            become(0, 0, 0)
        except PermissionError:
            continue
        raise StillPrivileged(f"could become {what} 0 again")
    lines = (line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    status = {name: value.strip() for name, value in lines}
    for name in _MUST_BE_EMPTY:
        if int(status[name], 16):
            raise StillPrivileged(f"still holds capabilities: {name} is {status[name]}")
    if status["NoNewPrivs"] != "1":
        raise StillPrivileged("no_new_privs is not set")
