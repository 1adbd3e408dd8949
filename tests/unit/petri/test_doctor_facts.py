"""What is gathered is what the machine and the engine say: files, ports, permissions."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from petri.doctor import facts, tcp_api
from petri.doctor.daemons import look_at_daemons
from petri.doctor.engine_checks import ENGINE_CHECKS
from petri.doctor.finding import OK, Unreadable
from petri.doctor.host_checks import HOST_CHECKS
from petri.doctor.host_facts import PATHS, gather_host

#: An HTTP server under the engine's name; prints its port. The header is what tells an engine's API.
SERVER = """
import http.server, sys
open("/proc/self/comm", "w").write("dockerd")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if sys.argv[2] == "engine":
            self.send_header("Api-Version", "1.41")
        self.end_headers()
    def log_message(self, *arguments): pass
class Server(http.server.HTTPServer):
    address_family = __import__("socket").AF_INET6 if ":" in sys.argv[1] else __import__("socket").AF_INET
server = Server((sys.argv[1], 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def serving():
    started = []

    def start(address, kind):
        process = subprocess.Popen([sys.executable, "-c", SERVER, address, kind], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("address", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "[::1]"), ("::", "[::]")]
)
def test_an_engine_that_answers_over_tcp_without_tls_is_found(serving, address, shown):
    if ":" in address and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    port = serving(address, "engine")
    assert f"{shown}:{port}" in look_at_daemons().plain_apis


def test_a_port_that_does_not_speak_the_api_is_not_an_engine(serving):
    port = serving("127.0.0.1", "metrics")
    assert not [found for found in look_at_daemons().plain_apis if found.endswith(f":{port}")]


def test_the_ports_of_a_process_are_its_own_and_only_those_it_listens_on(serving):
    strangers = serving("127.0.0.1", "engine")
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_connection(ours.getsockname()) as outgoing:
        found = tcp_api.listeners(Path("/proc/self"))
        assert ours.getsockname() in found
        assert outgoing.getsockname() not in found
    assert ("127.0.0.1", strangers) not in found


def test_addresses_of_the_kernels_table():
    if sys.byteorder == "little":
        assert tcp_api.decoded("0100007F") == "127.0.0.1"
        assert tcp_api.decoded("00000000000000000000000001000000") == "::1"


def test_files_that_are_not_there_are_none_and_the_rest_is_read(tmp_path):
    for path, text in {
        "proc/swaps": "Filename\tType\n/dev/dm-3 partition 1 0 -2\n",
        "proc/sys/kernel/yama/ptrace_scope": "1\n",
        "proc/sys/kernel/core_pattern": "|/bin/false %p\n",
        "sys/block/dm-3/dm/uuid": "CRYPT-LUKS2-0a1b-swap\n",
        "sys/kernel/uevent_seqnum": "1\n",
        "sys/devices/system/cpu/vulnerabilities/retbleed": "Vulnerable\n",
        "run/reboot-required": "*** System restart required ***\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    host = gather_host(tmp_path)
    assert host.number("kernel.yama.ptrace_scope") == 1
    assert host.sysctl("kernel.core_pattern") == "|/bin/false %p"
    assert host.below("/sys/block/dm-3") == {"dm/uuid": "CRYPT-LUKS2-0a1b-swap"}
    assert host.below("/sys/devices/system/cpu/vulnerabilities") == {"retbleed": "Vulnerable"}
    assert host.read("/sys/kernel/mm/ksm/run") is None
    assert (host.sysctl("kernel.dmesg_restrict"), host.number("kernel.dmesg_restrict")) == (None, None)
    assert host.read("/run/reboot-required") == "*** System restart required ***"
    assert host.unreadable == {}


def made_unreadable(tmp_path):
    """A root where every file is what not even root can read: a directory."""
    for path in (*PATHS, "/sys/devices/system/cpu/vulnerabilities/mds"):
        (tmp_path / path.lstrip("/")).mkdir(parents=True)
    return tmp_path


def not_mounted(tmp_path):
    """A root without /proc and /sys: every file is missing, and that says nothing of the kernel."""
    return tmp_path


@pytest.mark.parametrize("root", [made_unreadable, not_mounted])
@pytest.mark.parametrize("look", [*HOST_CHECKS, *ENGINE_CHECKS], ids=lambda look: look.id)
def test_no_check_says_ok_of_a_machine_and_an_engine_that_say_nothing(tmp_path, root, look):
    host = gather_host(root(tmp_path))
    engine = facts.Engine.of(facts.Address("unix:///nonexistent/engine.sock"), {}, {})
    finding = look(host if look in HOST_CHECKS else facts.EngineFacts(engine, host, ()))
    assert finding.severity is not OK
    assert finding.severity is look.worst
    assert finding.why and finding.remedy


def test_what_is_no_text_cannot_be_read(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match=r"/etc/subuid: .*decode"):
        gather_host(tmp_path).read("/etc/subuid")


def test_a_daemon_whose_file_was_replaced_is_named_as_its_component(tmp_path):
    for pid, name, exe in (
        ("17", "dockerd", "/usr/bin/dockerd (deleted)"),
        ("18", "containerd", "/usr/bin/containerd"),
        ("19", "bash", "/usr/bin/bash (deleted)"),
    ):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "comm").write_text(f"{name}\n")
        (tmp_path / "proc" / pid / "exe").symlink_to(exe)
        (tmp_path / "proc" / pid / "fd").mkdir()
    daemons = gather_host(tmp_path).daemons
    assert (daemons.replaced, daemons.unseen) == ({"docker"}, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_users_daemon_cannot_be_looked_into(serving):
    serving("127.0.0.1", "engine")
    os.seteuid(65534)
    try:
        daemons = look_at_daemons()
    finally:
        os.seteuid(0)
    assert daemons.unseen["docker"] == "dockerd cannot be looked into: Permission denied"


def test_a_daemon_that_is_not_visible_is_not_called_well(tmp_path):
    (tmp_path / "17").mkdir()
    (tmp_path / "17/comm").write_text("bash\n")
    daemons = look_at_daemons(tmp_path)
    assert daemons.unseen == {"docker": "no dockerd is visible", "containerd": "no containerd is visible"}


def test_this_machine_is_read_and_every_check_of_the_host_has_an_answer():
    host = gather_host()
    assert host.release == os.uname().release
    assert host.sysctl("kernel.core_pattern") == Path("/proc/sys/kernel/core_pattern").read_text().rstrip()
    assert (host.read("/proc/swaps") or "").startswith("Filename")
    assert all(look(host).seen for look in HOST_CHECKS)
    assert len({look.id for look in (*HOST_CHECKS, *ENGINE_CHECKS)}) == len(HOST_CHECKS) + len(ENGINE_CHECKS)


def test_the_socket_is_looked_at_as_it_is(tmp_path):
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o662)
        found = facts.socket_file(facts.Address(f"unix://{path}"))
    assert found is not None
    assert (found.mode, found.group) == (0o662, grp.getgrgid(path.stat().st_gid).gr_name)
    assert facts.socket_file(facts.Address("http://127.0.0.1:2375")) is None
