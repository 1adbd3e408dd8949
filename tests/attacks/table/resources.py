"""R: take what the host and the neighbours need. Processes, memory, disk, descriptors, output, time."""

from __future__ import annotations

from tests.attacks.attack import Attack, in_every_language
from tests.attacks.outcome import Blocked, Contained, Killed
from tests.attacks.scene import Scene


def the_daemon_is_dead(scene: Scene) -> None:
    """It has given itself a name; the answer did not wait for it."""
    names = scene.execute(command="cat /proc/[0-9]*/comm")["stdout"].splitlines()
    assert "agent" in names, names
    assert "stays" not in names
    assert scene.answer["duration_ms"] < 3000


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
        expected={"python": Blocked(attempts={"start one more": "EAGAIN"})},
    ),
    Attack(
        row="R3",
        name="r03_memory_bomb",
        aim="Memory, written to, until there is no more to be had",
        expected=in_every_language(Killed("oom")),
    ),
    Attack(
        row="R8",
        name="r08_daemon",
        aim="A daemon that ignores every signal and keeps standard output open, to hold the answer and to stay",
        expected={"python": Contained(attempts={"become a daemon": "ok"})},
        afterwards=the_daemon_is_dead,
    ),
)
