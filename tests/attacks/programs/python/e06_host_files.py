import os
import stat

from attempt import attempt, attempt_or_absent, opening, writing, writing_to_one

for name, path, text in (
    ("core handler", "/proc/sys/kernel/core_pattern", "|/tmp/x"),
    ("module loader", "/proc/sys/kernel/modprobe", "/tmp/x"),
    ("hot plug handler", "/sys/kernel/uevent_helper", "/tmp/x"),
    ("other executables", "/proc/sys/fs/binfmt_misc/register", ":x:M::x::/tmp/x:"),
    ("magic keys", "/proc/sysrq-trigger", "h"),
    ("drop caches", "/proc/sys/vm/drop_caches", "3"),
    ("panic", "/proc/sys/kernel/panic", "1"),
    ("addresses", "/proc/sys/kernel/randomize_va_space", "0"),
    ("host name", "/proc/sys/kernel/hostname", "x"),
    ("ping for all", "/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ("interrupts", "/proc/irq/default_smp_affinity", "1"),
    ("power", "/sys/power/state", "mem"),
    ("a processor", "/sys/devices/system/cpu/cpu1/online", "0"),
    ("pages", "/sys/kernel/mm/ksm/run", "1"),
    ("user ids", "/proc/self/uid_map", "0 0 1"),
    ("its own place in the queue for death", "/proc/self/oom_score_adj", "-1000"),
):
    attempt_or_absent(name, writing, path, text)
CGROUP = "/sys/fs/cgroup"
attempt_or_absent("more memory", writing_to_one, f"{CGROUP}/memory.max", f"{CGROUP}/memory/memory.limit_in_bytes")
attempt_or_absent("more processes", writing_to_one, f"{CGROUP}/pids.max", f"{CGROUP}/pids/pids.max")
attempt_or_absent("another cgroup", writing_to_one, f"{CGROUP}/cgroup.procs", f"{CGROUP}/pids/cgroup.procs")
for path in (
    "/dev/mem",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/vda",
    "/dev/sda",
    "/dev/loop0",
    "/dev/net/tun",
    "/proc/kmsg",
    "/proc/kpagecount",
):
    attempt_or_absent(f"open {path}", opening, path, os.O_RDWR)
attempt("make a disk", os.mknod, "/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
attempt("make a terminal", os.mknod, "/tmp/tty", stat.S_IFCHR | 0o600, os.makedev(4, 0))
attempt_or_absent("a cgroup of one's own", os.mkdir, "/sys/fs/cgroup/x")
