"""Runs in a sandbox: what a guest tries that knows where the walls of a container have holes. Tells what came of each.

Argument: {"system call": number} in JSON, for those that the C library has no function for, or only a careful one.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
numbers = json.loads(sys.argv[1])
AGENT = 1
found = {}


def outcome(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


def call(function, *arguments):
    """What came of a function of the C library's that says -1 and sets errno."""
    ctypes.set_errno(0)
    return errno.errorcode[ctypes.get_errno()] if function(*arguments) == -1 else "ok"


def raw(name, *arguments):
    """The same of a system call, every register filled to its last bit."""
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    return call(libc.syscall, ctypes.c_long(numbers[name]), *words)


def in_a_child(action):
    """How a child ends that does `action`."""
    child = os.fork()
    if not child:
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


# Sockets of every family and kind that there may be.
made = set()
for family in range(1, 48):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        for protocol in (0, 6, 17, 12, 16, 132, 262):
            descriptor = libc.socket(family, kind, protocol)
            if descriptor >= 0:
                os.close(descriptor)
                made.add((family, kind, protocol))
found["sockets"] = sorted(made)

# The core limit decides whether the host's handler is run. A filter that compares all 64 bits of an int is got round by
# the upper half, which the kernel does not read.
no_core = struct.pack("QQ", 0, 0)
CORE = resource.RLIMIT_CORE
found["core limit"] = {
    "setrlimit": call(libc.setrlimit, CORE, no_core),
    "prlimit": call(libc.prlimit, 0, CORE, no_core, None),
    "prlimit64, upper half": raw("prlimit64", 0, 0xABCD << 32 | CORE, no_core, None),
    "setrlimit, upper half": raw("setrlimit", 0xABCD << 32 | CORE, no_core),
}

# Namespaces, in each way that there is. A child of clone's goes away at once.
NEW_USER = 0x1000_0000


def clone_new_user():
    words = [ctypes.c_ulong(one) for one in (0xABCD << 32 | NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)]
    ctypes.set_errno(0)
    child = libc.syscall(ctypes.c_long(numbers["clone"]), *words)
    if child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)
    return "ok" if child > 0 else errno.errorcode[ctypes.get_errno()]


found["namespaces"] = {
    "clone": clone_new_user(),
    "setns": call(libc.setns, os.open("/proc/self/ns/user", os.O_RDONLY), 0),
    "unshare": in_a_child(lambda: os._exit(libc.unshare(NEW_USER) == -1)),
    "unshare, the command": subprocess.run(["unshare", "--user", "true"], stderr=subprocess.DEVNULL).returncode,
}
found["overlay's own device"] = outcome(lambda: os.mknod("/tmp/node", 0o020644, os.makedev(0, 0)))


# Round the filter, by calling the kernel as another machine's programs do.
def int_0x80():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(
        bytes.fromhex("53 b814000000 cd80 5b c3")
    )  # push rbx; mov eax, 20; int 0x80; pop rbx; ret: i386's getpid
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def i386_program():
    """The smallest 32-bit executable that ends by itself: exit(0)."""
    code = bytes.fromhex("31db 31c0 40 cd80")  # xor ebx, ebx; xor eax, eax; inc eax; int 0x80
    base, headers = 0x0804_8000, 52 + 32
    size = headers + len(code)
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    elf = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + headers, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    program = Path("/tmp/i386")
    program.write_bytes(elf + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code)
    program.chmod(0o755)
    try:
        os.execv(program, ["i386"])
    except OSError as error:
        os._exit(error.errno)


if os.uname().machine == "x86_64":
    found["32-bit"] = {"int 0x80": in_a_child(int_0x80), "executable": in_a_child(i386_program)}
    x32_getpid = 0x4000_0000 + 39
    found["x32"] = in_a_child(lambda: os._exit(libc.syscall(x32_getpid) == -1))
# The agent has our user id: cripple it, or look into it. Last, for where it works.
limit = struct.pack("QQ", 3, 3)
one_cpu = ctypes.c_ulong(1)
found["agent"] = {
    "prlimit": call(libc.prlimit, AGENT, resource.RLIMIT_NOFILE, limit, None),
    "affinity": call(libc.sched_setaffinity, AGENT, 8, ctypes.byref(one_cpu)),
    "scheduler": call(libc.sched_setscheduler, AGENT, os.SCHED_IDLE, ctypes.byref(ctypes.c_int(0))),
    "priority": outcome(lambda: os.setpriority(os.PRIO_PROCESS, AGENT, 19)),
    "priority of the user": outcome(lambda: os.setpriority(os.PRIO_USER, 0, 19)),
    "ptrace": call(libc.ptrace, 16, AGENT, 0, 0),
}

print(json.dumps(found))
sys.stdout.flush()
