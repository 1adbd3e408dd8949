"""Write the file system layers of an image: everything in one is root's, writable by nobody else, and not setuid.

A layer is an uncompressed tar and its sha256. Layers are written to a temporary name and moved into place when
whole, so a build that is interrupted leaves none that is half one.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

#: Time of every file that we put in, 2026-01-01: the same sources make the same layer, so an engine keeps it once. Not
#: 0, because a guest that zips such a file would be told that ZIP knows no time before 1980.
FILE_TIME = 1_767_225_600

#: What a root file system brings that an image must not: the building machine's names and mirrors, caches and logs,
#: device nodes (the engine mounts its own) and what the engine writes over anyway.
_LEFT_OUT = (
    "dev/",
    "etc/apt/",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/resolv.conf",
    "proc/",
    "root/.cache/",
    "run/",
    "sys/",
    "tmp/",
    "var/cache/",
    "var/lib/apt/",
    "var/lib/dpkg/status-old",
    "var/log/",
    "var/tmp/",
    ".dockerenv",
)
_LEFT_OUT_BELOW = tuple(path for path in _LEFT_OUT if path.endswith("/"))


@dataclass(frozen=True, slots=True)
class Layer:
    """A finished layer. `key` says what it was made from; `facts` what later steps want to know about its content."""

    path: Path
    key: str
    diff_id: str  # sha256:… of the tar
    facts: dict[str, str]


def kept(path: Path, key: str) -> Layer | None:
    """The layer at `path` if it is whole and was made from `key`."""
    try:
        layer = Layer(path=path, **json.loads(_note(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return layer if layer.key == key and path.is_file() else None


@contextmanager
def writing(path: Path, key: str) -> Iterator[LayerWriter]:
    """A writer whose layer appears at `path` when the block ends well, and not at all otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.half")
    try:
        with half.open("wb") as file:
            writer = LayerWriter(file)
            yield writer
            writer.close()
        with half.open("rb") as file:
            diff_id = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        _note(path).unlink(missing_ok=True)  # a note never describes another tar than its own
        half.replace(path)
        note = Layer(path, key, diff_id, writer.facts)
        half.write_text(json.dumps({name: value for name, value in asdict(note).items() if name != "path"}))
        half.replace(_note(path))
    finally:
        half.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


class LayerWriter:
    """Collects files into one layer. Directories on the way to a file are written before it, once, as root's 0755."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self._directories = {""}
        self.facts: dict[str, str] = {}

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Make `name`, unless this layer has it already."""
        if name in self._directories:
            return
        self._parents(name)
        self._directories.add(name)
        self._tar.addfile(_member(name, tarfile.DIRTYPE, mode))

    def content(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._file(name, io.BytesIO(content), len(content), mode)

    def file(self, name: str, source: Path) -> None:
        """Put `source` at `name`; it is executable there if its owner may execute it here."""
        mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        with source.open("rb") as file:
            self._file(name, file, source.stat().st_size, mode)

    def symlink(self, name: str, target: str) -> None:
        self._parents(name)
        member = _member(name, tarfile.SYMTYPE, 0o777)
        member.linkname = target
        self._tar.addfile(member)

    def tree(self, name: str, source: Path, keep: Callable[[str], bool] = lambda path: True) -> None:
        """Put the files and links under `source` at `name`, those whose path below `source` is for `keep`."""
        for root, directories, files in os.walk(source):
            below = os.path.relpath(root, source)
            below = "" if below == "." else f"{below}/"
            directories[:] = sorted(entry for entry in directories if keep(f"{below}{entry}/"))
            for entry in sorted(files):
                if not keep(below + entry):
                    continue
                path = Path(root, entry)
                target = f"{name}/{below}{entry}"
                if path.is_symlink():
                    self.symlink(target, str(path.readlink()))
                else:
                    self.file(target, path)

    def whiteout(self, name: str) -> None:
        """Hide `name` of the layers below."""
        parent, base = posixpath.split(name)
        self.content(posixpath.join(parent, f".wh.{base}"), b"")

    def member(self, member: tarfile.TarInfo, file: IO[bytes] | None) -> None:
        """Put an entry of a `tidy` file system here."""
        if member.isdir():
            self.directory(member.name, member.mode)
        else:
            self._parents(member.name)
            self._tar.addfile(member, file)

    def close(self) -> None:
        self._tar.close()

    def _file(self, name: str, file: IO[bytes], size: int, mode: int) -> None:
        self._parents(name)
        member = _member(name, tarfile.REGTYPE, mode)
        member.size = size
        self._tar.addfile(member, file)

    def _parents(self, name: str) -> None:
        # A directory that an upper layer does not name is made by the engine, with a mode of its choice, and hides the
        # lower one's.
        parent = posixpath.dirname(name)
        if parent not in self._directories:
            self.directory(parent)


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, FILE_TIME
    return member


def tidy(member: tarfile.TarInfo, below: str = "") -> tarfile.TarInfo | None:
    """What of a root file system's entry an image gets, or None. Names in it are relative to `below`."""
    name = posixpath.normpath(below + member.name)
    if name == "." or name.startswith(("/", "..")):
        return None
    if name in _LEFT_OUT or name.startswith(_LEFT_OUT_BELOW):
        return None
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    mode = member.mode & 0o1777  # neither setuid nor setgid
    if not (member.isdir() and mode & stat.S_ISVTX):
        mode &= ~0o022
    changed = copy.copy(member)
    changed.name = name
    changed.mode = 0o777 if member.issym() else mode
    changed.uid = changed.gid = 0
    changed.uname = changed.gname = ""
    changed.mtime = int(member.mtime)
    if member.islnk():
        changed.linkname = posixpath.normpath(below + member.linkname)
    changed.pax_headers = {}  # file capabilities are setuid by another name
    return changed


def whole(writer: LayerWriter, root: tarfile.TarFile, below: str = "") -> None:
    """Write a root file system, or the part of one that lies `below` a directory, as a layer."""
    for entry in root:
        member = tidy(entry, below)
        if member is not None:
            writer.member(member, root.extractfile(entry) if entry.isreg() else None)


def difference(writer: LayerWriter, below: Path, root: tarfile.TarFile) -> None:
    """Write what makes the layer at `below` into the root file system `root`: new and changed files, and whiteouts."""
    with tarfile.open(below) as tar:
        old = _listing(tar, lambda member: member)
    new = _listing(root, tidy)
    for name, (entry, identity) in new.items():
        if name in old and old[name][1] == identity:
            continue
        member = tidy(entry)
        assert member is not None
        if member.islnk():
            # Its other name may lie in the layer below, where an engine does not look for it: write the content.
            target = root.getmember(entry.linkname)
            member.type, member.linkname, member.size = tarfile.REGTYPE, "", target.size
            writer.member(member, root.extractfile(target))
        else:
            writer.member(member, root.extractfile(entry) if entry.isreg() else None)
    there = {""} | set(new) | {str(parent) for name in new for parent in PurePosixPath(name).parents}
    for name in old:
        if name not in there and posixpath.dirname(name) in there:  # a directory's whiteout hides what is in it
            writer.whiteout(name)


def _listing(
    tar: tarfile.TarFile, view: Callable[[tarfile.TarInfo], tarfile.TarInfo | None]
) -> dict[str, tuple[tarfile.TarInfo, tuple[object, ...]]]:
    """By name: the entry, and all of it that counts. Times do not, or every file would be new."""
    listing: dict[str, tuple[tarfile.TarInfo, tuple[object, ...]]] = {}
    for entry in tar:
        member = view(entry)
        if member is not None:
            kind = tarfile.REGTYPE if member.islnk() else member.type
            listing[member.name] = (entry, (kind, member.mode, member.linkname * member.issym(), _sha256(tar, entry)))
    return listing


def _sha256(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    file = tar.extractfile(entry) if entry.isreg() or entry.islnk() else None
    return hashlib.file_digest(file, "sha256").hexdigest() if file else ""  # type: ignore[arg-type]  # IO[bytes] reads
