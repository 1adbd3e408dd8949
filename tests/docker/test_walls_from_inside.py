"""What a guest finds when it looks around: the walls that every container has from the first day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LOOK = r"""
import json, os, socket
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
def fails(action):
    try: action()
    except OSError as error: return error.strerror
    return None
setuid = []
for directory, _, names in os.walk("/"):
    if not directory.startswith("/proc"):
        found = [os.path.join(directory, name) for name in names]
        setuid += [path for path in found if os.path.isfile(path) and os.lstat(path).st_mode & 0o6000]
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "caps": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"].strip(),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "root": fails(lambda: open("/x", "w")),
    "usr": fails(lambda: open("/usr/x", "w")),
    "opt": fails(lambda: open("/opt/petri/x", "w")),
    "connect": fails(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
    "hostname": socket.gethostname(), "cwd": os.getcwd(), "home": os.environ["HOME"],
    "setuid": setuid,
    "environ": sorted(os.environ),
}))
"""


@pytest.fixture(scope="module")
def inside(live) -> dict:
    answer = live.run("python", LOOK)
    assert answer["status"] == "succeeded", answer
    return json.loads(answer["stdout"])


def test_it_is_nobody_in_particular(inside):
    assert inside["uid"] >= 210_000
    assert (inside["gid"], inside["groups"]) == (inside["uid"], [inside["uid"]]) or inside["groups"] == []


def test_it_has_no_capability_and_can_gain_none(inside):
    assert inside["caps"] == [0, 0, 0, 0, 0]
    assert inside["no_new_privs"] == "1"
    assert inside["setuid"] == []


def test_it_has_no_network(inside):
    assert inside["interfaces"] == ["lo"]
    assert inside["connect"] == "Network is unreachable"


def test_it_can_write_nothing_that_lasts(inside):
    assert inside["root"] == inside["usr"] == inside["opt"] == "Read-only file system"


def test_it_learns_nothing_of_the_host_from_its_environment(inside):
    assert inside["hostname"] == "sandbox"
    assert (inside["cwd"], inside["home"]) == ("/workspace", "/workspace")
    assert not [name for name in inside["environ"] if name.startswith(("PETRI", "DOCKER", "SSH"))]


def test_sandboxes_that_live_at_one_time_have_different_users(live):
    with live.client() as client:
        made = [client.post("/v1/sandboxes", json={"language": "python"}).json()["id"] for _ in range(3)]
        uids = {client.post(f"/v1/sandboxes/{one}/exec", json={"command": "id -u"}).json()["stdout"] for one in made}
        for one in made:
            client.delete(f"/v1/sandboxes/{one}")
    assert len(uids) == 3


def test_the_gateway_is_not_root_and_holds_no_engine_socket(live):
    pid = live.processes["gateway"].pid
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {"70000"}
    assert set(status["Gid"].split()) == {"70000"}
    assert status["Groups"].strip() == ""
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
