"""The rate of the engine alone: the sandboxes of a pool, made and removed over its API without Petri.

A loop of `create, start, remove` is what any service with fresh containers pays at least. `heard` waits for the agent's
first word before the removal, as a pool has to: only then is there a warm interpreter in the container.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.engine import Engine, sandbox_config, uids
from benchmarks.load import Send, closed_loop, errors, right
from pool.template import Template


def rate(template: Template, concurrency: int, seconds: float, *, heard: bool = False) -> float:
    """Containers a second that were made, started and removed by `concurrency` threads."""
    numbers = uids()

    def connect() -> Send:
        engine = Engine()

        def send() -> Callable[[], None]:
            uid = next(numbers)
            if heard:
                container, sock = engine.boot(template, uid)
                sock.close()
            else:
                container = engine.create(sandbox_config(template, uid))
                engine.start(container)
            engine.remove(container)
            return lambda: None

        return send

    shots = closed_loop(concurrency, seconds, connect)
    if failed := errors(shots):
        raise RuntimeError(f"the bare loop: {failed}")
    # To the end of the last, since threads end what they have begun.
    return len(right(shots)) / (max(shot.ended for shot in shots) - min(shot.began for shot in shots))


def boot_all(templates: Sequence[Template], concurrency: int) -> float:
    """Seconds until a sandbox of each of `templates` has been heard of. All are removed afterwards."""
    waiting = list(templates)
    lock = threading.Lock()
    booted: list[tuple[str, socket.socket]] = []
    numbers = uids()

    def work() -> None:
        engine = Engine()
        while True:
            with lock:
                if not waiting:
                    return
                template = waiting.pop(0)
                uid = next(numbers)
            booted.append(engine.boot(template, uid))

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    engine = Engine()
    for container, sock in booted:
        with contextlib.closing(sock):
            engine.remove(container)
    if len(booted) != len(templates):
        raise RuntimeError(f"{len(booted)} of {len(templates)} containers were heard of")
    return taken
