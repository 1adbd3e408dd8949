import os
import resource
import struct

from attempt import attempt, syscall, writing, writing_to_one

AGENT = 1
few = struct.pack("QQ", 3, 3)
attempt("descriptors", syscall, "prlimit64", AGENT, resource.RLIMIT_NOFILE, few, 0)
attempt("memory", syscall, "prlimit64", AGENT, resource.RLIMIT_AS, few, 0)
attempt("processor time", syscall, "prlimit64", AGENT, resource.RLIMIT_CPU, few, 0)
attempt("processors", syscall, "sched_setaffinity", AGENT, 8, struct.pack("Q", 1))
attempt("scheduler", syscall, "sched_setscheduler", AGENT, os.SCHED_IDLE, struct.pack("i", 0))
attempt(
    "scheduler, by attributes", syscall, "sched_setattr", AGENT, struct.pack("IIQiIQQQ", 48, 5, 0, 0, 0, 0, 0, 0), 0
)
attempt("niceness", os.setpriority, os.PRIO_PROCESS, AGENT, 19)
attempt("niceness of its group", os.setpriority, os.PRIO_PGRP, 1, 19)
attempt("niceness of its user", os.setpriority, os.PRIO_USER, 0, 19)
attempt("input and output", syscall, "ioprio_set", 1, AGENT, 3 << 13)
attempt("its place in the queue for death", writing, "/proc/1/oom_score_adj", "1000")
attempt("its group's share", writing, "/proc/1/autogroup", "19")
attempt("its timers", writing, "/proc/1/timerslack_ns", "1000000000")
attempt("its name", writing, "/proc/1/comm", "x")
attempt("its dump filter", writing, "/proc/1/coredump_filter", "0")
attempt("its pages", writing, "/proc/1/clear_refs", "1")
attempt("freeze it", writing_to_one, "/sys/fs/cgroup/cgroup.freeze", "/sys/fs/cgroup/freezer/freezer.state")
