"""A: turn the agent, which has the guest's user id and speaks for it to the host."""

from __future__ import annotations

from tests.attacks.attack import Attack
from tests.attacks.outcome import Blocked, Contained
from tests.attacks.scene import Scene
from tests.attacks.table.each import each

_FILES = """its input, its output, its channel, its descriptors, its memory, its environment, its map
its threads' memory, its root, its directory, its executable, its stack"""
_CALLS = """ptrace attach, ptrace seize, process_vm_readv, process_vm_writev, pidfd_getfd, process_madvise, kcmp"""
_SIGNALS = "send SIGKILL, send SIGSTOP, send SIGTERM, send SIGSEGV, send SIGINT, send SIGHUP, send SIGABRT"


def _of(who: str, names: str, result: str) -> dict[str, str]:
    return {f"{who}: {name}": result for name in each(names, result)}


def the_next_exec_works(scene: Scene) -> dict[str, str]:
    answer = scene.execute(code="print('fine')")
    return {"spoil the next exec": "it works" if answer["output"] == "fine\n" else str(answer)}


def the_logs_stay_clean(scene: Scene) -> dict[str, str]:
    logs = b"".join((scene.petri.run_dir / f"{service}.log").read_bytes() for service in ("gateway", "pool"))
    found = [mark for mark in (b"A7>", b"\x1b", b"owned", b"alert(1)", b"granted to root") if mark in logs]
    answer = scene.answer
    whole = answer["stdout"].startswith("A7>\x1b]0;owned\x07") and answer["stdout"].endswith(
        "\x00" + 5 * "\ufffd" + "<A7\n"
    )
    return {
        "write to the logs": f"they have {found}" if found else "they have none of it",
        "break the answer": "it has the bytes, U+FFFD for what is no UTF-8" if whole else repr(answer["stdout"]),
    }


def the_forged_are_output(scene: Scene) -> dict[str, str]:
    """The program itself ends with 7; what it has written to standard output is in the answer as that."""
    believed = scene.answer["exit_code"] != 7 or "exit_code" not in scene.answer["stdout"]
    return {"be believed": "ok" if believed else "exit code 7, the frames are output"}


ATTACKS = (
    Attack(
        row="A1",
        name="a01_kill_the_agent",
        aim="End, stop or confuse the agent with signals, thousands of each",
        expected={
            "python": Contained(
                attempts={
                    **each(_SIGNALS, "ok"),
                    "kill everybody else": "ok",
                    "the agent": "lives",
                    "spoil the next exec": "it works",
                }
            )
        },
        afterwards=the_next_exec_works,
    ),
    Attack(
        row="A2",
        name="a02_agents_insides",
        aim="Read and change the agent's and the waiting worker's memory, descriptors and environment",
        expected={
            "python": Blocked(
                attempts={
                    **_of("agent", _FILES, "EACCES"),
                    **_of("agent", _CALLS, "EPERM"),
                    **_of("worker", _FILES, "EACCES"),
                    **_of("worker", _CALLS, "EPERM"),
                    "spoil the next exec": "it works",
                }
            )
        },
        afterwards=the_next_exec_works,
    ),
    Attack(
        row="A3",
        name="a03_cripple_the_agent",
        aim="Take from the agent its descriptors, processors, priority",
        expected={
            "python": Blocked(
                attempts={
                    **each("descriptors, memory, processor time, processors, scheduler", "EPERM"),
                    **each("niceness, niceness of its group, niceness of its user, input and output", "EPERM"),
                    **each("its timers", "EPERM"),
                    **each("its place in the queue for death, its group's share, its name, its dump filter", "EACCES"),
                    **each("its pages, freeze it", "EACCES"),
                    "scheduler, by attributes": "EPERM",
                    "spoil the next exec": "it works",
                }
            )
        },
        afterwards=the_next_exec_works,
    ),
    Attack(
        row="A5",
        name="a05_forged_frames",
        aim="Write to every descriptor what the agent would write to the host: that all went well",
        expected={"python": Blocked("failed", {"be believed": "exit code 7, the frames are output"})},
        afterwards=the_forged_are_output,
    ),
    Attack(
        row="A7",
        name="a07_unprintable",
        aim="Escape sequences, forged log lines, HTML, text that turns round, NUL and broken UTF-8 as output",
        expected={
            "python": Contained(
                "failed",
                {
                    "write to the logs": "they have none of it",
                    "break the answer": "it has the bytes, U+FFFD for what is no UTF-8",
                },
            )
        },
        afterwards=the_logs_stay_clean,
    ),
)
