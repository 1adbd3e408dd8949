"""Say in one sentence what failed while images were built, whichever exception it was, and what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import docker.errors
import requests
import urllib3.exceptions

#: Whatever the container engine refuses or fails to answer. docker reads its streams past requests, so urllib3's too.
ENGINE_FAILURES = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError)

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def sentence(error: Exception, doing: str, disk: Path) -> str:
    """What failed. `doing` is a step's label; `disk` a path on the file system where it writes."""
    if isinstance(error, ENGINE_FAILURES):  # first: those of requests are OSErrors too
        said = error.explanation if isinstance(error, docker.errors.APIError) else None
        remedy = "" if said else "; `petri doctor` says whether it still answers"
        return f"the container engine failed while {doing}: {said or error}{remedy}"
    if not isinstance(error, OSError):
        return f"{doing} failed with {type(error).__name__}: {error}"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        place = f": {error.filename}" if error.filename else ""
        return f"{doing} failed: {error.strerror or error}{place}"
    return f"{doing} failed: {error.strerror}; {no_room(disk)}"


def ran_out_of_room(output: str) -> bool:
    """Does a program's output say that a disk is full? Its status does not, and it may have tidied up since."""
    return os.strerror(errno.ENOSPC).lower() in output.lower()


def no_room(disk: Path) -> str:
    """What to do about a disk that is full: `disk` is a path on it."""
    return (
        f"now that unfinished files are gone, {_free(disk)}; "
        "make room there, or let PETRI_STATE_DIR name a directory on a larger disk (`petri doctor` says how large)"
    )


def was_interrupted(error: BaseException | None) -> bool:
    """Was this raised while a Ctrl-C was on its way out, by a clean-up that failed?"""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _free(disk: Path) -> str:
    place = next(parent for parent in (disk, *disk.absolute().parents) if parent.exists())
    there = os.statvfs(place)
    free = f"{_size(there.f_bavail * there.f_frsize)} of {_size(there.f_blocks * there.f_frsize)} are free at {place}"
    # Some file systems have no limit on files, and say 0 of 0.
    return f"{free}, but no more files fit" if there.f_files and not there.f_favail else free


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
