"""llm-sandbox (PyPI) with its pool of containers that are used again and again, and without, on Petri's Python image.

It calls `python` and, in a pool, the interpreter of an environment that it would make with pip from the network. Both
names are put into a copy of the image, as links to its python3; nothing else is changed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.engine import Engine
from benchmarks.programs import CODE, OUTPUT

IMAGE = "petri-bench/llm-sandbox-python"
_WORKDIR = "/sandbox"
#: Ends when it is asked to; else each close would wait ten seconds for the engine's patience.
_WAIT = ["bash", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]
_POOL_SIZE = 4


def measure(pooled_runs: int, unpooled_runs: int) -> tuple[list[float], list[float]]:
    """Seconds of each run, from asking for a session to having the output; closing it is not counted."""
    from llm_sandbox import SandboxSession
    from llm_sandbox.pool import PoolConfig, create_pool_manager
    from llm_sandbox.pool.session import PooledSandboxSession

    runtime = {"network_mode": "none", "entrypoint": _WAIT}
    pooled, unpooled = [], []
    with _image():
        common = {"lang": "python", "image": IMAGE, "runtime_configs": runtime, "skip_environment_setup": True}
        sizes = PoolConfig(min_pool_size=_POOL_SIZE, max_pool_size=_POOL_SIZE)
        manager = create_pool_manager(config=sizes, **common)
        try:
            for _ in range(pooled_runs + 1):
                session = PooledSandboxSession(pool_manager=manager, workdir=_WORKDIR)
                pooled.append(_timed(session))
        finally:
            manager.close()
        for _ in range(unpooled_runs + 1):
            unpooled.append(_timed(SandboxSession(keep_template=True, workdir=_WORKDIR, **common)))
    return pooled, unpooled


def _timed(session: object) -> float:
    before = time.perf_counter()
    session.open()  # type: ignore[attr-defined]
    try:
        said = session.run(CODE["python"])  # type: ignore[attr-defined]
        seconds = time.perf_counter() - before
    finally:
        session.close()  # type: ignore[attr-defined]
    if said.stdout != OUTPUT:
        raise RuntimeError(f"llm-sandbox said {said.stdout!r} {said.stderr!r}")
    return seconds


@contextlib.contextmanager
def _image() -> Iterator[None]:
    from llm_sandbox.core.session_base import PYTHON_VENV_DIR_NAME

    engine = Engine()
    venv = f"{_WORKDIR}/{PYTHON_VENV_DIR_NAME}/bin"
    links = f"mkdir -p {venv} && ln -s /usr/bin/python3 {venv}/python && ln -sf python3 /usr/bin/python"
    made = engine.create(
        {
            "Image": "petri/python",
            "Entrypoint": ["sh", "-c", links],
            "User": "0",
            "WorkingDir": "/",
            "NetworkDisabled": True,
            "Labels": {"petri.bench": "peer"},
            "HostConfig": {"NetworkMode": "none"},
        }
    )
    try:
        engine.start(made)
        ended = engine.call("POST", f"/containers/{made}/wait").json()["StatusCode"]
        if ended != 0:
            raise RuntimeError(f"the links could not be made: status {ended}")
        engine.call("POST", f"/commit?container={made}&repo={IMAGE}&tag=latest", {})
    finally:
        engine.remove(made)
    try:
        yield
    finally:
        engine.call("DELETE", f"/images/{IMAGE}?force=1")
