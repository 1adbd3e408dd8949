"""Layers: what of a root file system gets into an image, and that half a layer is none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from runners.images.layer import FILE_TIME, Layer, difference, kept, tidy, whole, writing

Entries = dict[str, tarfile.TarInfo]


def entry(name: str, content: bytes | None = None, **more: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    member.mode = 0o755 if content is None else 0o644
    member.size = len(content or b"")
    for attribute, value in more.items():
        setattr(member, attribute, value)
    return member, content or b""


def root(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in entries:
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def layer_of(path: Path, source: Path) -> Layer:
    with writing(path, "key") as writer, tarfile.open(source) as tar:
        whole(writer, tar)
    layer = kept(path, "key")
    assert layer is not None
    return layer


def entries_of(path: Path) -> Entries:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar}


def contents(*layers: Path) -> dict[str, bytes | str]:
    """What a container sees of these layers: files with their content, links with their target."""
    seen: dict[str, bytes | str] = {}
    for path in layers:
        with tarfile.open(path) as tar:
            for member in tar:
                parent, _, name = member.name.rpartition("/")
                if name.startswith(".wh."):
                    gone = f"{parent}/{name.removeprefix('.wh.')}".lstrip("/")
                    seen = {known: what for known, what in seen.items() if f"{known}/".startswith(f"{gone}/") is False}
                elif member.issym():
                    seen[member.name] = member.linkname
                elif not member.isdir():
                    file = tar.extractfile(member)
                    assert file is not None
                    seen[member.name] = file.read()
    return seen


def test_nothing_in_a_layer_is_setuid_or_writable_by_others_or_somebody_elses(tmp_path: Path) -> None:
    source = root(
        tmp_path / "root.tar",
        entry("./usr/bin/su", b"x", mode=0o4755),
        entry("./usr/bin/wall", b"x", mode=0o2755, gid=5),
        entry("./etc/loose", b"x", mode=0o666, uid=1000, gid=1000, uname="somebody"),
        entry("./srv", mode=0o2777, gid=50),
        entry("./usr/bin/ping", b"x", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": "cap"}),
    )

    members = entries_of(layer_of(tmp_path / "layer.tar", source).path)

    assert {name: oct(member.mode) for name, member in members.items() if member.isreg()} == {
        "usr/bin/su": "0o755",
        "usr/bin/wall": "0o755",
        "etc/loose": "0o644",
        "usr/bin/ping": "0o755",
    }
    assert members["srv"].mode == 0o755
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, "")}
    assert not any("xattr" in header for member in members.values() for header in member.pax_headers)


def test_a_sticky_directory_stays_open_to_all(tmp_path: Path) -> None:
    source = root(tmp_path / "root.tar", entry("./tmp", mode=0o1777))

    assert entries_of(layer_of(tmp_path / "layer.tar", source).path)["tmp"].mode == 0o1777


@pytest.mark.parametrize(
    "name",
    [
        "etc/hostname",
        "etc/resolv.conf",
        "etc/apt/sources.list",
        "var/cache/apt/x.deb",
        "var/log/dpkg.log",
        "run/x",
        "tmp/x",
    ],
)
def test_what_belongs_to_the_building_machine_is_left_out(name: str) -> None:
    assert tidy(entry(f"./{name}", b"x")[0]) is None


@pytest.mark.parametrize("name", ["etc/hosts.allow", "etc/aptitude", "var/logs", "devel/x"])
def test_only_whole_names_are_left_out(name: str) -> None:
    assert tidy(entry(f"./{name}", b"x")[0]) is not None


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "./a/../../up"])
def test_an_entry_that_would_leave_the_root_is_left_out(name: str) -> None:
    assert tidy(entry(name, b"x")[0]) is None


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_left_out(kind: bytes) -> None:
    assert tidy(entry("./usr/odd", b"", type=kind)[0]) is None


def test_a_difference_on_top_of_its_base_is_the_whole(tmp_path: Path) -> None:
    base = root(
        tmp_path / "base.tar",
        entry("./etc"),
        entry("./etc/same", b"same", mtime=1),
        entry("./etc/changed", b"old"),
        entry("./etc/gone", b"gone"),
        entry("./old"),
        entry("./old/deep", b"gone with its directory"),
        entry("./usr/bin/perl", b"perl"),
        entry("./usr/link", b"", type=tarfile.SYMTYPE, linkname="old-target"),
    )
    more = root(
        tmp_path / "more.tar",
        entry("./etc"),
        entry("./etc/same", b"same", mtime=2),
        entry("./etc/changed", b"new"),
        entry("./usr/bin/perl", b"perl"),
        entry("./usr/bin/perl5", b"", type=tarfile.LNKTYPE, linkname="./usr/bin/perl"),
        entry("./usr/lib/python3/x.py", b"x"),
        entry("./usr/link", b"", type=tarfile.SYMTYPE, linkname="new-target"),
    )
    below = layer_of(tmp_path / "below.tar", base)
    everything = layer_of(tmp_path / "everything.tar", more)

    with writing(tmp_path / "above.tar", "key") as writer, tarfile.open(more) as tar:
        difference(writer, below.path, tar)

    assert contents(below.path, tmp_path / "above.tar") == contents(everything.path)
    above = entries_of(tmp_path / "above.tar")
    assert "etc/same" not in above, "a file that only got another time is not new"
    assert above["usr/bin/perl5"].isreg(), "its other name lies in the layer below"


def test_a_changed_mode_is_a_difference(tmp_path: Path) -> None:
    below = layer_of(tmp_path / "below.tar", root(tmp_path / "base.tar", entry("./run.sh", b"x", mode=0o644)))
    more = root(tmp_path / "more.tar", entry("./run.sh", b"x", mode=0o755))

    with writing(tmp_path / "above.tar", "key") as writer, tarfile.open(more) as tar:
        difference(writer, below.path, tar)

    assert entries_of(tmp_path / "above.tar")["run.sh"].mode == 0o755


def test_the_same_files_make_the_same_layer_whenever_it_is_made(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "worker.py").write_text("print(1)\n")
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o700)
    (source / "link").symlink_to("run")

    ids = []
    for name in ("first", "second"):
        (source / "run").touch()
        with writing(tmp_path / f"{name}.tar", "key") as writer:
            writer.tree("opt/petri", source)
        layer = kept(tmp_path / f"{name}.tar", "key")
        assert layer is not None
        ids.append(layer.diff_id)

    assert ids[0] == ids[1]
    members = entries_of(tmp_path / "first.tar")
    assert list(members) == [
        "opt",
        "opt/petri",
        "opt/petri/link",
        "opt/petri/run",
        "opt/petri/sub",
        "opt/petri/sub/worker.py",
    ]
    assert members["opt/petri/run"].mode == 0o755
    assert {member.mtime for member in members.values()} == {FILE_TIME}


def test_an_interrupted_layer_leaves_the_one_before_it(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    with writing(path, "old") as writer:
        writer.content("file", b"old")

    with pytest.raises(KeyboardInterrupt):
        with writing(path, "new") as writer:
            writer.content("file", b"new")
            raise KeyboardInterrupt

    assert kept(path, "old") is not None
    assert kept(path, "new") is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["layer.json", "layer.tar"]


def test_a_layer_is_kept_only_for_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    with writing(path, "key") as writer:
        writer.facts["version"] = "3.11.2"

    layer = kept(path, "key")

    assert layer is not None
    assert layer.facts == {"version": "3.11.2"}
    assert kept(path, "another key") is None
    path.unlink()
    assert kept(path, "key") is None
    path.with_suffix(".json").write_text("{")
    assert kept(path, "key") is None
