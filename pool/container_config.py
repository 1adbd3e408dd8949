"""The engine's configuration for one sandbox: every wall that a container gets, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from pool import seccomp
from pool.masked_paths import masked_paths
from pool.runtimes import GVISOR, family, host_tasks
from pool.template import SHM_MIB, Template

LABEL_POOL = "petri.pool"  # name of the pool that owns it
LABEL_BOOT = "petri.boot"  # id of that pool's process: another boot never adopts it
LABEL_LOCK = "petri.lock"  # file that the pool's process keeps locked while it lives
LABEL_HOST = "petri.host"  # machine that the file is on
LABEL_SANDBOX = "petri.sandbox"
LABEL_TEMPLATE = "petri.template"

_MIB = 1 << 20
#: Files in each tmpfs. 64 per MiB (16 KiB a file) and at least 4,096: enough for a module tree, little kernel memory.
_MIN_INODES = 4096
#: Descriptors per process. Go's linker and Node's module loader stay below; a guest gains nothing from more.
_OPEN_FILES = 1024
#: Of 1024 that any other has: the share in the processors of what boots in the background. Low, since a boot takes as
#: much of them as ten runs, and who waits for an answer should not meet it. Not lower: what the runtime does in there
#: before the container is known cannot be hurried, when somebody comes while others' programs leave nothing over.
_BACKGROUND_SHARES = 256
#: The same for every sandbox, so that it tells of none.
HOSTNAME = "sandbox"


@dataclass(frozen=True, slots=True)
class Owner:
    """Which process of which pool on which machine a container belongs to."""

    pool: str
    boot: str
    lock: str
    host: str

    def labels(self) -> dict[str, str]:
        return {
            LABEL_POOL: self.pool,
            LABEL_BOOT: self.boot,
            LABEL_LOCK: self.lock,
            LABEL_HOST: self.host,
        }


def container_config(
    sandbox_id: str, template: Template, image: str, uid: int, owner: Owner, *, background: bool = False
) -> dict[str, object]:
    """The body of the engine's create call. `background`: with a small share in the processors, to be raised later."""
    memory = template.memory_mib * _MIB
    return {
        "Image": image,
        "User": f"{uid}:{uid}",
        "Hostname": HOSTNAME,
        "NetworkDisabled": True,
        "WorkingDir": "/workspace",
        "Env": ["HOME=/workspace", "TMPDIR=/tmp"],
        "Labels": {**owner.labels(), LABEL_SANDBOX: sandbox_id, LABEL_TEMPLATE: template.name},
        # The channel. StdinOnce ends the agent's input when the one attached client goes: a host that vanishes
        # ends the sandbox.
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": False,
        "Tty": False,
        # No StopTimeout of 0, although nothing is ever stopped gently: it is also how long the engine waits to hear of
        # the end of a container that it meant to kill and that ended by itself just then. With 0 it does not wait, and
        # the container's shim stays for ever (seen with 20.10, one removal in four).
        "HostConfig": {
            "Runtime": template.runtime,  # empty: the engine's own choice
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "Tmpfs": {
                "/workspace": _tmpfs(template.workdir_mib, uid, "exec"),
                "/tmp": _tmpfs(template.tmp_mib, uid, "exec"),
                # Ours, since the engine's own has no limit but memory to the number of its files.
                "/dev/shm": _tmpfs(SHM_MIB, uid, "noexec"),
            },
            "MaskedPaths": list(masked_paths()),
            "CapDrop": ["ALL"],
            # The filter needs no-new-privileges: without it, runc may change the user no more.
            "SecurityOpt": ["no-new-privileges:true", seccomp.security_opt()],
            "Privileged": False,
            "IpcMode": "none",  # a namespace of its own, without the engine's /dev/shm
            "CgroupnsMode": "private",
            "Memory": memory,
            "MemorySwap": memory,  # memory and swap together: none of it may be swap
            "PidsLimit": host_tasks(template.runtime, template.pids),
            "CpuShares": _BACKGROUND_SHARES if background else 0,  # 0: the kernel's own default
            "NanoCpus": round(template.cpus * 1_000_000_000),
            "OomScoreAdj": 500,  # before anything of the host's own
            "Ulimits": [{"Name": name, "Soft": most, "Hard": most} for name, most in limits(template).items()],
            # With any other log driver the engine would write every frame, code and results, to the host's disk.
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "AutoRemove": False,  # the pool removes; an agent that died is then still there to be counted
            "Init": False,  # the agent is PID 1
            "Dns": ["127.0.0.1"],  # no resolver of the host's
            "DnsOptions": ["attempts:1", "timeout:1"],
        },
    }


def limits(template: Template) -> dict[str, int]:
    """A process's own limits, soft and hard alike."""
    found = {
        "nofile": _OPEN_FILES,
        # To a core_pattern that is a program the kernel goes by no limit but one: at exactly 1 it starts none.
        "core": 1,
        "memlock": 65536,
        "msgqueue": 0,
        "sigpending": 1024,  # timers, too; the engine's own is by the machine
    }
    if family(template.runtime) == GVISOR:
        found["nproc"] = template.pids  # its cgroup counts what gVisor makes of the guest's tasks, not these
    return found


def most_files(mib: int) -> int:
    """Files in a tmpfs of that size."""
    return max(_MIN_INODES, 64 * mib)


def _tmpfs(mib: int, uid: int, execute: str) -> str:
    return f"rw,nosuid,nodev,{execute},size={mib}m,nr_inodes={most_files(mib)},mode=0700,uid={uid},gid={uid}"
