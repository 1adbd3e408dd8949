"""Read and change the agent, and the worker that waits for the next exec: both have this user id."""

import os
from pathlib import Path

from attempt import attempt, opening, syscall

AGENT = 1
SEIZE, ATTACH = 0x4206, 16


def listing(path):
    return os.listdir(path)


def linked(path):
    return os.readlink(path)


others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (AGENT, os.getpid())]
waiting = next(pid for pid in others if b"main.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
for who, pid in (("agent", AGENT), ("worker", waiting)):
    attempt(f"{who}: its input", opening, f"/proc/{pid}/fd/0")
    attempt(f"{who}: its output", opening, f"/proc/{pid}/fd/1", os.O_WRONLY)
    attempt(f"{who}: its channel", opening, f"/proc/{pid}/fd/11", os.O_WRONLY)
    attempt(f"{who}: its descriptors", listing, f"/proc/{pid}/fd")
    attempt(f"{who}: its memory", opening, f"/proc/{pid}/mem", os.O_RDWR)
    attempt(f"{who}: its environment", opening, f"/proc/{pid}/environ")
    attempt(f"{who}: its map", opening, f"/proc/{pid}/maps")
    attempt(f"{who}: its threads' memory", opening, f"/proc/{pid}/task/{pid}/mem", os.O_RDWR)
    attempt(f"{who}: its root", linked, f"/proc/{pid}/root")
    attempt(f"{who}: its directory", linked, f"/proc/{pid}/cwd")
    attempt(f"{who}: its executable", linked, f"/proc/{pid}/exe")
    attempt(f"{who}: its stack", opening, f"/proc/{pid}/stack")
    attempt(f"{who}: ptrace attach", syscall, "ptrace", ATTACH, pid, 0, 0)
    attempt(f"{who}: ptrace seize", syscall, "ptrace", SEIZE, pid, 0, 0)
    attempt(f"{who}: process_vm_readv", syscall, "process_vm_readv", pid, 0, 0, 0, 0, 0)
    attempt(f"{who}: process_vm_writev", syscall, "process_vm_writev", pid, 0, 0, 0, 0, 0)
    handle = os.pidfd_open(pid)
    attempt(f"{who}: pidfd_getfd", syscall, "pidfd_getfd", handle, 1, 0)
    attempt(f"{who}: process_madvise", syscall, "process_madvise", handle, 0, 0, 0, 0)
    attempt(f"{who}: kcmp", syscall, "kcmp", os.getpid(), pid, 0, 0, 0)
