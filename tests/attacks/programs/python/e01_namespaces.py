import os
import signal

from attempt import attempt, in_a_child, syscall

NEW_USER, NEW_MOUNTS, EVERYTHING = 0x1000_0000, 0x0002_0000, 0x7E02_0000
BIND, REMOUNT, RECURSIVE = 4096, 32, 16384
HERE = -100 & (2**64 - 1)

attempt("unshare user", in_a_child, syscall, "unshare", NEW_USER)
attempt("unshare everything", in_a_child, syscall, "unshare", EVERYTHING)
attempt("clone user", syscall, "clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
attempt("clone3 user", syscall, "clone3", bytes(88), 88)
attempt("enter the agent's namespaces", in_a_child, syscall, "setns", os.pidfd_open(1), NEW_USER | NEW_MOUNTS)
attempt("enter one's own", in_a_child, syscall, "setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)
attempt("mount tmpfs", in_a_child, syscall, "mount", b"none", b"/tmp", b"tmpfs", 0, b"")
attempt("mount proc", in_a_child, syscall, "mount", b"none", b"/tmp", b"proc", 0, b"")
attempt("bind mount", in_a_child, syscall, "mount", b"/proc", b"/tmp", b"", BIND | RECURSIVE, b"")
attempt("remount the root", in_a_child, syscall, "mount", b"none", b"/", b"", REMOUNT, b"")
attempt("unmount /proc", in_a_child, syscall, "umount2", b"/proc", 2)
attempt("pivot_root", in_a_child, syscall, "pivot_root", b"/tmp", b"/tmp")
attempt("chroot", in_a_child, syscall, "chroot", b"/tmp")
attempt("open_tree", in_a_child, syscall, "open_tree", HERE, b"/", 1)
attempt("fsopen", in_a_child, syscall, "fsopen", b"tmpfs", 0)
