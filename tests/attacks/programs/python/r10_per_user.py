"""Take all that the kernel gives one user id, and keep it until the end."""

import ctypes
import fcntl
import os
import signal
import time

from attempt import attempt, fact, libc, report, syscall, until_it_fails

GROW, USUAL = fcntl.F_SETPIPE_SZ, 64 << 10
MOST_SIGNALS = 1024


def large_pipe():
    ends = os.pipe()
    fcntl.fcntl(ends[1], GROW, 1 << 20)
    return ends


def watcher():
    if (descriptor := libc.inotify_init()) < 0:
        raise OSError(ctypes.get_errno(), "inotify_init")
    return descriptor


def queue_signal():
    syscall(
        "rt_sigqueueinfo",
        os.getpid(),
        signal.SIGRTMIN + 9,
        (ctypes.c_char * 128)(0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255),
    )


pipes = until_it_fails("one more large pipe", large_pipe)
fact("large pipes", len(pipes))
while (size := fcntl.fcntl(os.pipe()[1], fcntl.F_GETPIPE_SZ)) == USUAL:
    continue  # the pages that are left
report("one more pipe of the usual size", f"{size} bytes")
watchers = until_it_fails("one more watcher of files", watcher)
fact("watchers of files", len(watchers))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + 9})
signals = len(until_it_fails("one more signal under way", queue_signal))
report("more signals under way than 1024", "ok" if signals > MOST_SIGNALS else "EAGAIN")
attempt("a key", syscall, "add_key", b"user", b"x", b"y", 1, 2**32 - 5)
attempt("a message queue, by its call", syscall, "mq_open", b"x", os.O_CREAT | os.O_RDWR, 0o600, 0)
attempt("a message queue, as a file", lambda: os.open("/dev/mqueue/x", os.O_CREAT | os.O_RDWR, 0o600))
attempt("a shared segment", syscall, "shmget", 0, 4096, 0o600)
attempt("locked memory", syscall, "mlock", ctypes.create_string_buffer(1 << 20), 1 << 20)
time.sleep(0.5)  # for the neighbour to come by
