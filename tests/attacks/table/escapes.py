"""E: get out. Namespaces, the kernel's rarer calls, sockets, setuid files, files to write to, services of the host."""

from __future__ import annotations

import functools
import json
import os
import socket

from tests.attacks.attack import Attack
from tests.attacks.outcome import Blocked
from tests.attacks.table.each import each
from tests.docker.conftest import Petri


@functools.cache
def _listening(name: str) -> socket.socket:
    """On the host, in the abstract namespace, which a container that shares the host's network would share, too."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0{name}")
    sock.listen()
    return sock


def services_of_the_host(petri: Petri) -> str:
    name = f"petri-attacks-{os.getpid()}"
    _listening(name)
    pool = petri.run_dir / f"pool-{petri.name}.sock"
    assert pool.is_socket(), "there must be something to keep out of reach"
    return json.dumps({"pool": str(pool), "gateway": petri.port, "abstract": name})


ATTACKS = (
    Attack(
        row="E1",
        name="e01_namespaces",
        aim="Namespaces of one's own, in which one is root, and mounts",
        expected={
            "python": Blocked(
                attempts={
                    **each("unshare user, unshare everything, clone user, enter the agent's namespaces", "EPERM"),
                    **each("enter one's own, mount tmpfs, mount proc, bind mount, remount the root", "EPERM"),
                    **each("unmount /proc, pivot_root, chroot, open_tree, fsopen", "EPERM"),
                    "clone3 user": "ENOSYS",
                }
            )
        },
    ),
    Attack(
        row="E2",
        name="e02_kernel",
        aim="The calls in which the kernel's holes are found",
        expected={
            "python": Blocked(
                attempts={
                    **each("bpf, perf_event_open, userfaultfd, keyctl, add_key, request_key, kexec_load", "EPERM"),
                    **each("kexec_file_load, init_module, finit_module, delete_module, fanotify_init", "EPERM"),
                    **each("name_to_handle_at, open_by_handle_at, quotactl, swapon, reboot, acct, syslog", "EPERM"),
                    **each("personality, sethostname, setdomainname, lookup_dcookie, move_pages", "EPERM"),
                    **each("modify_ldt, iopl, ioperm", "EPERM"),
                    **each("io_uring_setup, memfd_secret", "ENOSYS"),
                }
            )
        },
    ),
    Attack(
        row="E3",
        name="e03_sockets",
        aim="Sockets of families that no program here needs, each of them kernel code, and calls past the filter",
        expected={
            "python": Blocked(
                attempts={
                    **each("ALG, VSOCK, packets, packets as datagrams, raw IP, raw IPv6, ping, SCTP, MPTCP", "EPERM"),
                    **each("UDP-Lite, XDP, CAN, Bluetooth, NFC, X.25, AX.25, AppleTalk, IPX, DECnet, RDS", "EPERM"),
                    **each("TIPC, PPPoE, PF_KEY, KCM, RxRPC, SMC, QIPCRTR, a pair of packets", "EPERM"),
                    **each("netlink netfilter, netlink XFRM, netlink audit, netlink device events", "EPERM"),
                    **each("netlink generic", "EPERM"),
                    "past the filter as a 32-bit program": "SIGSYS",
                }
            )
        },
    ),
    Attack(
        row="E4",
        name="e04_setuid",
        aim="Become somebody else: by a file's setuid bit or capabilities, or by asking",
        expected={
            "python": Blocked(
                attempts={
                    **each("setuid and setgid files, files with capabilities, capabilities", "0"),
                    "no new privileges": "1",
                    "set the bit": "ok",
                    "what it gains": "nothing",
                    **each("give it to root, give it capabilities, setuid, setgid, setresuid, setgroups", "EPERM"),
                    "capset": "EPERM",
                }
            ),
            "node": Blocked(attempts={"setuid and setgid files": "0"}),
            "go": Blocked(attempts={"setuid and setgid files": "0"}),
        },
    ),
    Attack(
        row="E5",
        name="e05_fileless",
        aim="Run code that lies in no file system, or in one where nobody looks",
        expected={
            "python": Blocked(
                attempts={
                    "a file without a name": "ENOSYS",
                    **each("a program in /dev/shm, a program in /dev", "EACCES"),
                    "a program in /dev/mqueue": "EROFS",
                    "code from /dev/shm": "EPERM",
                    "a program in the work directory, as everybody may": "ok",
                }
            )
        },
    ),
    Attack(
        row="E6",
        name="e06_host_files",
        aim="Write where the kernel takes orders: /proc, /sys, cgroups, devices",
        expected={
            "python": Blocked(
                attempts={
                    **each(
                        """core handler, module loader, hot plug handler, other executables, magic keys, drop caches
                        panic, addresses, host name, ping for all, interrupts, power, a processor, pages
                        more memory, more processes, another cgroup, a cgroup of one's own, user ids
                        its own place in the queue for death, open /dev/mem, open /dev/kmsg, open /dev/kvm
                        open /dev/fuse, open /dev/vda, open /dev/sda, open /dev/loop0, open /dev/net/tun
                        open /proc/kmsg, open /proc/kpagecount""",
                        "refused",
                    ),
                    **each("make a disk, make a terminal", "EPERM"),
                }
            )
        },
    ),
    Attack(
        row="E7",
        name="e07_host_services",
        aim="Reach the engine's socket, the gateway, a cloud's metadata, any network, any name",
        expected={
            "python": Blocked(
                attempts={
                    **each("socket docker.sock, socket containerd.sock, socket system_bus_socket", "ENOENT"),
                    "the pool's socket": "ENOENT",
                    **each("the host's abstract socket, the gateway", "ECONNREFUSED"),
                    **each("the gateway by the engine's bridge, metadata of a cloud, a private network", "ENETUNREACH"),
                    **each("the internet, a datagram, a broadcast", "ENETUNREACH"),
                    **each("metadata of a cloud by IPv6, the internet by IPv6", "ENETUNREACH"),
                    "a name": "EAI_AGAIN",
                    "interfaces": "lo",
                }
            ),
            "node": Blocked(
                attempts={
                    **each("the internet, metadata of a cloud", "ENETUNREACH"),
                    "socket docker.sock": "ENOENT",
                    "a name": "EAI_AGAIN",
                    "a name, by query": "ECONNREFUSED",
                }
            ),
            "go": Blocked(
                attempts={
                    **each("the internet, metadata of a cloud", "ENETUNREACH"),
                    "socket docker.sock": "ENOENT",
                    "a name": "no answer",
                }
            ),
        },
        told=services_of_the_host,
    ),
    Attack(
        row="E8",
        name="e08_leaks",
        aim="Get out by what the container runtime left open",
        expected={
            "python": Blocked(
                attempts={
                    "descriptors": "pipe",
                    "directory": "/workspace",
                    **each("the interpreter's file, the agent's file, the runtime's file", "EACCES"),
                }
            )
        },
    ),
)
