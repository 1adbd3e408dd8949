"""What the pool reads from and keeps on its host: cgroups of both versions, the freezer, a living pool's lock."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pool import process_lock
from pool.cgroup import Cgroup, Hierarchy
from pool.engine import EngineError, Usage
from pool.freezer import CgroupFreezer

V1 = """\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/freezer rw shared:9 - cgroup cgroup rw,freezer
34 30 0:30 / {unified} rw - cgroup2 cgroup2 rw
"""
V2 = "30 25 0:26 / {unified} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def hierarchy(tmp_path: Path, mounts: str, controllers: str) -> Hierarchy:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(mounts.format(unified=tmp_path))
    return Hierarchy.of_this_host(mountinfo)


def test_version_1_is_recognised_beside_an_empty_version_2(tmp_path):
    found = hierarchy(tmp_path, V1, "")
    assert (found.version, found.freezer, found.unified) == (1, Path("/sys/fs/cgroup/freezer"), None)
    assert found.cpuacct == Path("/sys/fs/cgroup/cpu,cpuacct")


def test_version_2_is_recognised(tmp_path):
    found = hierarchy(tmp_path, V2, "cpuset cpu io memory pids\n")
    assert (found.version, found.unified, found.freezer) == (2, tmp_path, None)


def test_a_host_without_cgroups_has_no_version(tmp_path):
    assert hierarchy(tmp_path, "25 1 0:20 / / rw - ext4 /dev/vda rw\n", "").version is None


def make_v2(tmp_path: Path) -> tuple[Cgroup, Path]:
    group = tmp_path / "docker" / "abc"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (group / "memory.peak").write_text("1048576\n")
    (group / "cpu.stat").write_text("usage_usec 1500\nuser_usec 1000\n")
    (group / "cgroup.freeze").write_text("0")
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    proc = tmp_path / "proc" / "42"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/docker/abc\n")
    return Cgroup.of_container("abc", 42, Hierarchy(tmp_path, None, None, None), tmp_path / "proc"), group


def make_v1(tmp_path: Path) -> tuple[Cgroup, Path]:
    for controller in ("memory", "freezer", "cpuacct"):
        (tmp_path / controller / "docker" / "abc").mkdir(parents=True)
    group = tmp_path / "freezer" / "docker" / "abc"
    memory = tmp_path / "memory" / "docker" / "abc"
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (memory / "memory.max_usage_in_bytes").write_text("1048576\n")
    (tmp_path / "cpuacct" / "docker" / "abc" / "cpuacct.usage").write_text("1500000\n")
    (group / "freezer.state").write_text("FROZEN\n")
    proc = tmp_path / "proc" / "42"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("9:memory:/docker/abc\n5:freezer:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n")
    roots = Hierarchy(None, tmp_path / "freezer", tmp_path / "memory", tmp_path / "cpuacct", tmp_path / "cpuacct")
    return Cgroup.of_container("abc", 42, roots, tmp_path / "proc"), group


@pytest.mark.parametrize("make", [make_v1, make_v2])
def test_the_kernels_counters_are_read_in_both_versions(tmp_path, make):
    cgroup, _ = make(tmp_path)
    assert cgroup.usage() == Usage(oom_kills=2, memory_peak_bytes=1 << 20, cpu_ns=1_500_000)
    for counter in (*tmp_path.rglob("memory.events"), *tmp_path.rglob("memory.oom_control")):
        counter.unlink()
    assert cgroup.usage() is None
    assert cgroup.counts_memory


def test_sockets_are_bounded_where_the_kernel_counts_them_apart(tmp_path):
    cgroup, _ = make_v1(tmp_path / "v1")
    cgroup.bound_sockets(100)  # a kernel without the file
    limit = tmp_path / "v1" / "memory" / "docker" / "abc" / "memory.kmem.tcp.limit_in_bytes"
    limit.write_text("9223372036854771712")
    cgroup.bound_sockets(100)
    assert limit.read_text() == "100"
    make_v2(tmp_path / "v2")[0].bound_sockets(100)


@pytest.mark.parametrize(("make", "file", "default"), [(make_v1, "cpu.shares", "1024"), (make_v2, "cpu.weight", "100")])
def test_what_booted_in_the_background_gets_the_kernels_own_share_of_the_processors(tmp_path, make, file, default):
    cgroup, group = make(tmp_path)
    where = (cgroup.cpu or group) / file
    where.write_text("64")
    cgroup.weigh_as_any_other()
    assert where.read_text() == default


def test_a_share_that_cannot_be_raised_is_not_passed_over(tmp_path):
    cgroup, _ = make_v1(tmp_path)
    with pytest.raises(FileNotFoundError):
        replace(cgroup, cpu=None).weigh_as_any_other()
    assert not Hierarchy(None, tmp_path, tmp_path, tmp_path).weighs


@pytest.mark.parametrize("make", [make_v1, make_v2])
def test_what_an_engine_forgot_in_a_cgroup_is_ended(tmp_path, make):
    cgroup, group = make(tmp_path)
    forgotten = subprocess.Popen(["sleep", "60"])
    (group / "cgroup.procs").write_text(f"{forgotten.pid}\n")
    assert cgroup.end_all() == 1
    assert forgotten.wait(10) == -signal.SIGKILL
    assert cgroup.end_all() == 1  # it is gone, and that is no fault
    (group / "cgroup.procs").unlink()
    assert cgroup.end_all() == 0


@pytest.mark.parametrize("make", [make_v1, make_v2])
def test_one_containers_cgroup_tells_where_anothers_is(tmp_path, make):
    cgroup, group = make(tmp_path)
    assert cgroup.of_sibling("abc", "abd") is None  # it is not there
    for directory in list(tmp_path.rglob("abc")):
        (directory.parent / "abd").mkdir()
    other = group.parent / "abd"
    (other / "cgroup.procs").write_text("")
    assert cgroup.of_sibling("abc", "abd") is None  # and has no process yet
    (other / "cgroup.procs").write_text("77\n78\n")
    found = cgroup.of_sibling("abc", "abd")
    assert found is not None
    assert (found[0].freezer or found[0].unified, found[1]) == (other, 77)


@pytest.mark.parametrize("make", [make_v1, make_v2])
def test_a_process_of_another_container_that_has_the_number_now_is_not_believed(tmp_path, make):
    make(tmp_path)
    with pytest.raises(ProcessLookupError, match="42"):
        Cgroup.of_container("abd", 42, Hierarchy(tmp_path, None, None, None), tmp_path / "proc")


@pytest.mark.parametrize(("make", "control", "frozen", "thawed"), [
    (make_v1, "freezer.state", "FROZEN", "THAWED"),
    (make_v2, "cgroup.freeze", "1", "0"),
])  # fmt: skip
async def test_freezing_writes_one_word_in_both_versions(tmp_path, make, control, frozen, thawed, anyio_backend):
    cgroup, group = make(tmp_path)
    freezer = CgroupFreezer.of(cgroup)
    await freezer.freeze()
    assert (group / control).read_text().startswith(frozen)
    freezer.thaw()
    assert (group / control).read_text().startswith(thawed)
    freezer.close()
    with pytest.raises(EngineError, match="thawing"):
        freezer.thaw()


async def test_a_container_that_does_not_freeze_is_an_engine_error(tmp_path, anyio_backend, monkeypatch):
    monkeypatch.setattr("pool.freezer._FREEZE_TIMEOUT_S", 0.02)
    cgroup, group = make_v2(tmp_path)
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    freezer = CgroupFreezer.of(cgroup)
    with pytest.raises(EngineError, match="not frozen within"):
        await freezer.freeze()
    freezer.close()


def test_a_cgroup_that_this_process_cannot_see_has_no_freezer(tmp_path):
    proc = tmp_path / "proc" / "42"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/../abc\n")
    cgroup = Cgroup.of_container("abc", 42, Hierarchy(tmp_path, None, None, None), tmp_path / "proc")
    with pytest.raises(FileNotFoundError):
        CgroupFreezer.of(cgroup)
    assert cgroup.usage() is None
    assert not cgroup.counts_memory


def test_a_lock_is_held_while_its_process_lives_and_not_a_moment_longer(tmp_path):
    path = tmp_path / "pool.lock"
    assert not process_lock.is_held(path)
    program = "import sys; from pathlib import Path; from pool import process_lock\n"
    program += "with process_lock.held(Path(sys.argv[1]), 'a note'): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        assert process_lock.is_held(path)
        assert (process_lock.owner(path), process_lock.note(path)) == (other.pid, "a note")
        with pytest.raises(process_lock.Held, match=f"pid {other.pid}, a note"), process_lock.held(path):
            pass
        other.kill()
    assert not process_lock.is_held(path)
