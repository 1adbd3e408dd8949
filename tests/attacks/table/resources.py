"""R: take what the host and the neighbours need. Processes, memory, disk, descriptors, output, time."""

from __future__ import annotations

import re
from pathlib import Path

from tests.attacks.attack import Attack, in_every_language
from tests.attacks.outcome import Blocked, Contained, Killed
from tests.attacks.scene import Scene
from tests.attacks.table.each import each

_PLACES = ("/workspace", "/tmp", "/dev/shm")
#: Far above what the gateway needs for a thousand connections, and far below what a flood sends it.
_GATEWAY_MIB = 256


def the_daemon_is_dead(scene: Scene) -> dict[str, str]:
    """It has given itself a name; the answer did not wait for it."""
    names = scene.execute(command="cat /proc/[0-9]*/comm")["stdout"].splitlines()
    assert "agent" in names, names
    return {
        "hold the answer": "answered at once" if scene.answer["duration_ms"] < 3000 else "held",
        "stay": "ok" if "stays" in names else "killed",
    }


def the_next_exec_works(scene: Scene) -> dict[str, str]:
    answer = scene.execute(code="import os\nos.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\nprint('fine')")
    return {"spoil the next exec": "it works" if answer["output"] == "fine\n" else str(answer)}


def output_was_cut(scene: Scene) -> dict[str, str]:
    status = Path(f"/proc/{scene.petri.processes['gateway'].pid}/status").read_text()
    peak_mib = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10
    kept = {len(scene.answer[stream]) for stream in ("stdout", "stderr")}
    cut = scene.answer["stdout_truncated"] and scene.answer["stderr_truncated"]
    return {
        "have all of it kept": "truncated to 1024 KiB a stream" if cut and max(kept) == 1 << 20 else str(kept),
        "fill the gateway's memory": "flat" if peak_mib < _GATEWAY_MIB else f"{peak_mib} MiB",
    }


def it_had_one_processor(scene: Scene) -> dict[str, str]:
    """By the kernel's own account. Version 2 keeps it in cpu.max and cpu.stat, version 1 in files of their own."""
    cgroup, accounts = scene.footprint.cgroup("cpu"), scene.footprint.cgroup("cpuacct")
    if (cgroup / "cpu.max").exists():
        quota, period = (cgroup / "cpu.max").read_text().split()
        used_s = int(re.search(r"usage_usec (\d+)", (cgroup / "cpu.stat").read_text())[1]) / 1e6
    else:
        quota, period = ((cgroup / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
        used_s = int((accounts / "cpuacct.usage").read_text()) / 1e9
    processors = used_s / (scene.answer["duration_ms"] / 1000)  # a little more than it may: boot is used, too
    within = int(quota) == int(period) and processors < 1.25
    return {"more processors than one": "it has one" if within else f"{quota} of {period}, used {processors:.1f}"}


def nothing_was_written(scene: Scene) -> dict[str, str]:
    """By the kernel's own account of the disks. Version 2 keeps it in io.stat, version 1 in blkio."""
    cgroup = scene.footprint.cgroup("blkio")
    name = "io.stat" if (cgroup / "io.stat").exists() else "blkio.throttle.io_service_bytes"
    written = sum(map(int, re.findall(r"(?:Write |wbytes=)(\d+)", (cgroup / name).read_text())))
    return {"write to a disk": f"{written} bytes"}


ATTACKS = (
    Attack(
        row="R1",
        name="r01_fork_bomb",
        aim="Processes that multiply, each the leader of a session of its own and deaf to every signal",
        # What runs a Go program and tells of its end is a Go program, too: it may be the one that gets no thread.
        expected=in_every_language(Contained("timed_out", {"start one more": "EAGAIN"}))
        | {"go": Contained(("timed_out", "failed"), {"start one more": "EAGAIN"})},
        request={"timeout_s": 2.0},
    ),
    Attack(
        row="R2",
        name="r02_thread_bomb",
        aim="Threads until there are no more to be had",
        expected={
            "python": Blocked(attempts={"start one more": "EAGAIN"}),
            "go": Blocked("failed", says="errno=11"),
        },
    ),
    Attack(
        row="R2",
        name="r02_worker_bomb",
        aim="Worker threads, each with a heap of its own",
        expected={"node": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_memory_bomb",
        aim="Memory, written to, until there is no more to be had",
        expected=in_every_language(Killed("oom")),
    ),
    Attack(
        row="R3",
        name="r03_child_memory_bomb",
        aim="The same in a child, of whose death the program itself then reports as it likes",
        expected={"python": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_files_and_memory",
        aim="Every file system full, and then the memory that is left",
        expected={"python": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_memory_of_nobody",
        aim="Memory that no process's death gives back: as many files with long names as there can be, then the rest",
        expected={"python": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_heap_limit",
        aim="Objects on V8's heap, which has a limit of its own: it must not be that of the host's memory",
        expected={"node": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_goroutine_bomb",
        aim="Goroutines, which are memory and not threads",
        expected={"go": Killed("oom")},
    ),
    Attack(
        row="R3",
        name="r03_compile_bomb",
        aim="A program of a few lines that takes the compiler gigabytes",
        expected={"go": Killed("oom")},
    ),
    Attack(
        row="R4",
        name="r04_reserve",
        aim="More address space than any machine has memory, hardly touched",
        expected={
            "python": Contained(attempts=each("reserve 1 TiB, reserve 64 TiB more, touch some of it", "ok")),
        },
    ),
    Attack(
        row="R5",
        name="r05_full_disk",
        aim="Fill every place that can be written to",
        expected=in_every_language(Blocked(attempts={f"fill {place}": "ENOSPC" for place in _PLACES})),
    ),
    Attack(
        row="R5",
        name="r05_inodes",
        aim="Empty files, whose memory no size counts",
        expected={"python": Blocked(attempts={f"files in {place}": "ENOSPC" for place in _PLACES})},
    ),
    Attack(
        row="R5",
        name="r05_sparse",
        aim="Files that say they are larger than any disk",
        expected={
            "python": Contained(
                attempts={
                    **{f"a file of 1 EiB in {place}": "ok" for place in _PLACES},
                    **{f"room for it in {place}": "ENOSPC" for place in _PLACES},
                }
            )
        },
    ),
    Attack(
        row="R6",
        name="r06_descriptors",
        aim="Descriptors until there are no more, in Python then also under way in a socket",
        expected=in_every_language(Blocked(attempts={"one more descriptor": "EMFILE"}))
        | {"python": Blocked(attempts={"one more descriptor": "EMFILE", "one more under way": "ETOOMANYREFS"})},
    ),
    Attack(
        row="R7",
        name="r07_zombies",
        aim="Dead children that nobody waits for, until no process can be started: nor in the session's next exec",
        expected={"python": Blocked(attempts={"one more process": "EAGAIN", "spoil the next exec": "it works"})},
        afterwards=the_next_exec_works,
    ),
    Attack(
        row="R8",
        name="r08_daemon",
        aim="A daemon that ignores every signal and keeps standard output open, to hold the answer and to stay",
        expected={
            "python": Contained(
                attempts={"become a daemon": "ok", "hold the answer": "answered at once", "stay": "killed"}
            )
        },
        afterwards=the_daemon_is_dead,
    ),
    Attack(
        row="R9",
        name="r09_output_flood",
        aim="Output without an end and without a line's end, on both streams",
        expected=in_every_language(
            Killed(
                "output_limit",
                {
                    "have all of it kept": "truncated to 1024 KiB a stream",
                    "fill the gateway's memory": "flat",
                },
            )
        ),
        afterwards=output_was_cut,
    ),
    Attack(
        row="R9",
        name="r09_many_small_writes",
        aim="The same, a byte at a time, each of which makes work for agent and gateway",
        expected={"python": Contained("timed_out")},
        request={"timeout_s": 1.0},
    ),
    Attack(
        row="R10",
        name="r10_per_user",
        aim="All that the kernel gives one user id: pages of pipes, watchers, signals, queues, keys, locked memory",
        expected={
            "python": Blocked(
                attempts={
                    "one more large pipe": "EPERM",
                    "one more pipe of the usual size": "8192 bytes",
                    "one more watcher of files": "EMFILE",
                    **each("one more signal under way, more signals under way than 1024", "EAGAIN"),
                    "a key": "EPERM",
                    "a message queue, by its call": "EPERM",
                    "a message queue, as a file": "EROFS",
                    "a shared segment": "EPERM",
                    "locked memory": "ENOMEM",
                }
            )
        },
    ),
    Attack(
        row="R11",
        name="r11_spin",
        aim="Keep every processor busy",
        expected=in_every_language(Contained("timed_out", {"more processors than one": "it has one"})),
        request={"timeout_s": 2.0},
        afterwards=it_had_one_processor,
    ),
    Attack(
        row="R11",
        name="r11_sleep",
        aim="Do nothing, for ever, and hear no signal",
        expected={"python": Killed("timed_out")},
        request={"timeout_s": 0.5},
    ),
    Attack(
        row="R11",
        name="r11_stop",
        aim="Stop oneself, so that no signal but SIGKILL arrives",
        expected={"python": Killed("timed_out")},
        request={"timeout_s": 0.5},
    ),
    Attack(
        row="R12",
        name="r12_core_dump",
        aim="Crash, again and again, to have the host's core dump handler run as root on what one left in memory",
        expected={
            "python": Blocked(
                attempts={
                    "core limit": "1 to 1",
                    "lower it": "EPERM",
                    "raise it": "EPERM",
                    "crash twenty times": "SIGABRT",
                }
            ),
            "node": Blocked(attempts={"core limit": "1 to 1", "crash five times": "SIGABRT"}),
            "go": Blocked(attempts={"core limit": "1 to 1", "crash five times": "aborted"}),
        },
    ),
    Attack(
        row="R13",
        name="r13_disk",
        aim="Write to the image, have the host flush its disks, throw out what it has cached",
        expected={
            "python": Blocked(
                attempts={
                    **each("write in /, write in /usr, write in /etc, write in /opt/petri, write in /var/tmp", "EROFS"),
                    "write in /run": "EROFS",
                    **each("write in /dev, write in /root", "EACCES"),
                    **each("sync, syncfs", "EPERM"),
                    "change the interpreter's time": "EROFS",
                    "fill the work directory": "ok",
                    "write to a disk": "0 bytes",
                }
            )
        },
        afterwards=nothing_was_written,
    ),
)
