"""I: learn of the host and of others, leave something behind, change the time."""

from __future__ import annotations

import json
import threading

from tests.attacks.attack import Attack
from tests.attacks.outcome import Blocked, Open
from tests.attacks.scene import Scene
from tests.attacks.table.each import each
from tests.docker.conftest import Petri

#: Whatever differs between machines, or moves with what others do. Not only what pool/masked_paths.py names.
_PLACES = """
/proc/acpi /proc/bootconfig /proc/buddyinfo /proc/bus /proc/cgroups /proc/cmdline /proc/config.gz /proc/consoles
/proc/crypto /proc/devices /proc/diskstats /proc/driver /proc/dynamic_debug /proc/fs /proc/interrupts /proc/iomem
/proc/ioports /proc/irq /proc/kallsyms /proc/kcore /proc/keys /proc/key-users /proc/kmsg /proc/kpagecgroup
/proc/kpagecount /proc/kpageflags /proc/latency_stats /proc/locks /proc/mdstat /proc/misc /proc/modules /proc/mtrr
/proc/pagetypeinfo /proc/partitions /proc/pressure /proc/sched_debug /proc/schedstat /proc/scsi /proc/slabinfo
/proc/softirqs /proc/swaps /proc/sys/fs/dentry-state /proc/sys/fs/file-nr /proc/sys/fs/inode-nr
/proc/sys/fs/inode-state /proc/sys/kernel/random/boot_id /proc/timer_list /proc/tty /proc/vmallocinfo /proc/vmstat
/proc/zoneinfo /sys/block /sys/bus /sys/class /sys/class/dmi/id /sys/dev /sys/devices/LNXSYSTM:00
/sys/devices/pci0000:00 /sys/devices/platform /sys/devices/virtual/dmi /sys/devices/virtual/powercap /sys/firmware
/sys/fs/btrfs /sys/fs/ext4 /sys/fs/xfs /sys/hypervisor /sys/kernel /sys/module /sys/power
"""


def places(_: Petri) -> str:
    return json.dumps(_PLACES.split())


_LOOK_FOR_THE_MARK = """
import os
from pathlib import Path
mark = "canary-7f3a91"
found = [name for place in ("/workspace", "/tmp", "/dev/shm") for name in os.listdir(place) if mark in name]
found += [name for name, value in os.environ.items() if mark in value]
for pid in os.listdir("/proc"):
    for file in ("environ", "cmdline"):
        try:
            found += [pid] if pid.isdigit() and mark in Path(f"/proc/{pid}/{file}").read_text(errors="replace") else []
        except OSError:
            continue
print(found)
"""
_HOLD = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
time.sleep(0.6)
"""
_LOOK_AT_LOCK = """
import fcntl, os, sys
try:
    fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("nothing")
except OSError:
    print("a lock")
"""
_LOCKABLE = ("/proc/self/ns/user", "/proc/self/ns/time", "/proc/self/ns/net", "/usr/bin/env")


def the_next_finds_nothing(scene: Scene) -> dict[str, str]:
    scene.client.delete(f"/v1/sandboxes/{scene.sandbox}")
    answer = scene.petri.run("python", _LOOK_FOR_THE_MARK)
    assert answer["sandbox_id"] != scene.sandbox
    return {"be found by the next": "it finds none" if answer["stdout"] == "[]\n" else str(answer)}


def look_from_next_door(scene: Scene) -> dict[str, str]:
    """A bit a lock: held in one sandbox, seen in another."""
    found = {}
    other = scene.client.post("/v1/sandboxes", json={"language": "python"}).json()["id"]
    for path in _LOCKABLE:
        holder = threading.Thread(target=scene.execute, kwargs={"code": _HOLD, "args": [path]})
        holder.start()
        seen = "nothing"
        while seen == "nothing" and holder.is_alive():  # so that it has looked all the time that the lock was held
            body = {"code": _LOOK_AT_LOCK, "args": [path]}
            seen = scene.client.post(f"/v1/sandboxes/{other}/exec", json=body).json()["stdout"].strip()
        found[f"tell the neighbour by {path}"] = "ok" if seen == "a lock" else "it sees nothing"
        holder.join()
    scene.client.delete(f"/v1/sandboxes/{other}")
    return found


ATTACKS = (
    Attack(
        row="I1",
        name="i01_fingerprints",
        aim="Tell which host this is, what runs on it and how busy it is",
        expected={
            "python": Blocked(
                attempts={
                    **dict.fromkeys(_PLACES.split(), "empty"),
                    "host name": "sandbox",
                    "resolvers": "0",
                    "processes": "agent python3",
                    "environment": "HOME HOSTNAME LANG PATH TMPDIR",
                }
            )
        },
        told=places,
    ),
    Attack(
        row="I1",
        name="i01_what_remains",
        aim="The same by what programs need, and by what no option of a container hides",
        expected={
            "python": Open(
                attempts={
                    **each(
                        "/proc/cpuinfo, /proc/meminfo, /proc/stat, /proc/loadavg, /proc/uptime, /proc/version", "ok"
                    ),
                    "the image's layers, in its mounts": "ok",
                    **each("the processors", "ok"),
                    "how many processes the host has, by sysinfo": "ok",
                }
            )
        },
    ),
    Attack(
        row="I2",
        name="i02_locks",
        aim="Talk to a neighbour that is in league with one, past every wall, by locks on what both see",
        expected={
            "python": Open(
                attempts={
                    **each("tell the neighbour by /proc/self/ns/user, tell the neighbour by /proc/self/ns/time", "ok"),
                    **each("tell the neighbour by /proc/self/ns/net", "it sees nothing"),
                    **each("tell the neighbour by /usr/bin/env", "it sees nothing"),
                }
            )
        },
        afterwards=look_from_next_door,
    ),
    Attack(
        row="I3",
        name="i03_residue",
        aim="Leave a file, a variable and a process for whoever comes next",
        expected={"python": Blocked(attempts={"leave a mark": "ok", "be found by the next": "it finds none"})},
        afterwards=the_next_finds_nothing,
    ),
    Attack(
        row="I4",
        name="i04_clock",
        aim="Set the host's clock, which all sandboxes share",
        expected={
            "python": Blocked(
                attempts={
                    **each("set the clock, set the clock by the old call, set the clock that never goes back", "EPERM"),
                    **each("bend the clock, bend the clock by the new call", "EPERM"),
                    "a timer for the end of time": "ok",
                    "a twentieth of a second": "passes",
                }
            )
        },
    ),
)
