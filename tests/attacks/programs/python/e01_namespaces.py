import os
import signal

from attempt import attempt, in_a_child, syscall

NEW_USER, EVERYTHING = 0x1000_0000, 0x7E02_0000
BIND, REMOUNT, RECURSIVE = 4096, 32, 16384


def in_child(name, *arguments):
    in_a_child(lambda: syscall(name, *arguments))


attempt("unshare user", in_child, "unshare", NEW_USER)
attempt("unshare everything", in_child, "unshare", EVERYTHING)
attempt("clone user", syscall, "clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
attempt("clone3 user", syscall, "clone3", bytes(88), 88)
attempt("enter the agent's namespaces", in_child, "setns", os.pidfd_open(1), NEW_USER | 0x0002_0000)
attempt("enter one's own", in_child, "setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)
attempt("mount tmpfs", in_child, "mount", b"none", b"/tmp", b"tmpfs", 0, b"")
attempt("mount proc", in_child, "mount", b"none", b"/tmp", b"proc", 0, b"")
attempt("bind mount", in_child, "mount", b"/proc", b"/tmp", b"", BIND | RECURSIVE, b"")
attempt("remount the root", in_child, "mount", b"none", b"/", b"", REMOUNT, b"")
attempt("unmount /proc", in_child, "umount2", b"/proc", 2)
attempt("pivot_root", in_child, "pivot_root", b"/tmp", b"/tmp")
attempt("chroot", in_child, "chroot", b"/tmp")
attempt("open_tree", in_child, "open_tree", -100 & (2**64 - 1), b"/", 1)
attempt("fsopen", in_child, "fsopen", b"tmpfs", 0)
