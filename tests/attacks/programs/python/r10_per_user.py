"""Take all that the kernel gives one user id, and keep it until the end."""

import ctypes
import fcntl
import os
import signal
import time

from attempt import attempt, fact, libc, syscall, until_it_fails

GROW = fcntl.F_SETPIPE_SZ


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
watchers = until_it_fails("one more watcher of files", watcher)
fact("watchers of files", len(watchers))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + 9})
fact("signals under way", len(until_it_fails("one more signal under way", queue_signal)))
attempt("a key", syscall, "add_key", b"user", b"x", b"y", 1, 2**32 - 5)
attempt("a message queue, by its call", syscall, "mq_open", b"x", os.O_CREAT | os.O_RDWR, 0o600, 0)
attempt("a message queue, as a file", lambda: os.open("/dev/mqueue/x", os.O_CREAT | os.O_RDWR, 0o600))
attempt("a shared segment", syscall, "shmget", 0, 4096, 0o600)
attempt("locked memory", syscall, "mlock", ctypes.create_string_buffer(1 << 20), 1 << 20)
time.sleep(0.5)  # for the neighbour to come by
