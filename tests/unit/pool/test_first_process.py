"""What /proc says of a process that was killed, and of one that was not."""

from __future__ import annotations

import os
import subprocess

import pytest

from pool.first_process import FirstProcess


def test_a_process_is_alive_until_it_is_killed():
    with subprocess.Popen(["sleep", "600"]) as process:
        first = FirstProcess(process.pid)
        assert first.is_alive()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not first.is_alive()  # nobody has asked for its status yet
        process.wait()
        assert not first.is_alive()
    first.close()
    first.close()


@pytest.mark.parametrize(("pending", "alive"), [(0, True), (1 << 8, False), (1 << 14 | 1 << 8, False), (1 << 14, True)])
def test_a_kill_that_waits_for_the_thaw_is_seen(tmp_path, pending, alive):
    (tmp_path / "42").mkdir()
    before = "42 (a) b (c) D 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 4 0 100 1000 10 18446744073709551615 1 1 0 0 0"
    (tmp_path / "42" / "stat").write_text(f"{before} {pending} 0 4096 134234626 0 0 0 17 1 0 0 0 0 0\n")
    first = FirstProcess(42, tmp_path)
    assert first.is_alive() is alive
    first.close()


def test_a_process_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        FirstProcess(42, tmp_path)
