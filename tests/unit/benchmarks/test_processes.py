import os
import socket
import subprocess
import sys
import time

import pytest

from benchmarks import processes


def test_a_process_is_charged_for_what_its_ended_threads_spent() -> None:
    spin = "import threading, time\nt = threading.Thread(target=lambda: [0 for _ in range(3_000_000)])\n"
    program = spin + "t.start(); t.join(); print(time.process_time(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = float(child.stdout.readline())
        seen = processes.cpu_seconds(child.pid)
        child.communicate(b"\n")
    assert said <= seen < said + 0.1


def test_our_own_processor_time_is_what_python_says() -> None:
    assert processes.cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.05)


def test_shared_pages_count_in_full_for_rss_and_in_part_for_pss() -> None:
    found = processes.memory(os.getpid())
    assert 1 < found.pss <= found.rss


def test_who_listens_is_found_by_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert processes.listening(server.getsockname()[1]) == os.getpid()
        port = server.getsockname()[1]
    with pytest.raises(LookupError, match=str(port)):
        processes.listening(port)


def test_a_child_is_among_its_parents_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in processes.children(os.getpid())
        assert processes.parent(child.pid) == os.getpid()
        child.communicate(b"\n")
