"""What the kernel tells of the host in /proc and /sys that a sandbox finds empty.

A guest could tell by these which machine it is on, what runs there and how busy that is, or pass words to another
sandbox. Not here is what language runtimes read (cpuinfo, meminfo, stat, loadavg, uptime, /sys/devices/system/cpu, the
sandbox's own cgroup) and what only root may read anyway (kpagecount, slabinfo, vmallocinfo, pagetypeinfo). What a
kernel does not have is passed over. Each path costs a boot about 30 µs.
"""

from __future__ import annotations

import functools
from pathlib import Path

#: Engines mask these by themselves, but none of them any more once they are given a list.
_ENGINES_OWN = """
/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi
/proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware
"""

#: What the machine is and how its kernel was made and started.
_MACHINE = """
/proc/bootconfig /proc/bus /proc/cmdline /proc/config.gz /proc/consoles /proc/crypto /proc/devices /proc/dma
/proc/driver /proc/fs /proc/iomem /proc/ioports /proc/irq /proc/kallsyms /proc/mdstat /proc/misc /proc/modules
/proc/mtrr /proc/partitions /proc/swaps /proc/sys/kernel/random/boot_id /proc/tty /sys/block /sys/bus /sys/class
/sys/dev /sys/devices/LNXSYSTM:00 /sys/devices/pci0000:00 /sys/devices/platform /sys/devices/pnp0
/sys/devices/system/memory /sys/devices/virtual /sys/fs/btrfs /sys/fs/erofs /sys/fs/ext4 /sys/fs/xfs /sys/hypervisor
/sys/kernel /sys/module /sys/power
"""

#: What the machine is doing: counters that move with every other sandbox's work. /proc/cgroups counts the sandboxes.
_ACTIVITY = """
/proc/buddyinfo /proc/cgroups /proc/diskstats /proc/key-users /proc/locks /proc/pressure /proc/schedstat /proc/softirqs
/proc/sys/fs/dentry-state /proc/sys/fs/file-nr /proc/sys/fs/inode-nr /proc/sys/fs/inode-state
/proc/sys/kernel/pty /proc/vmstat /proc/zoneinfo /sys/devices/system/node
"""

#: A file system of message queues, which nobody needs: a place to write that no size of ours bounds.
_WRITABLE = "/dev/mqueue"


@functools.cache
def masked_paths() -> tuple[str, ...]:
    """Absolute paths for HostConfig.MaskedPaths, sorted; the same for every sandbox on this machine."""
    throttling = map(str, Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle"))  # engines mask it, too
    listed = f"{_ENGINES_OWN} {_MACHINE} {_ACTIVITY} {_WRITABLE}".split()
    within = {path for path in listed if any(path.startswith(f"{other}/") for other in listed)}
    return tuple(sorted({*listed, *throttling} - within))
