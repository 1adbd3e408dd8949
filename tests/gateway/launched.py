"""Start `serve` as a process of its own, as `petri gateway` does, and watch what it opens and imports."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
import anyio.abc
import httpx

#: Runs in the child. Once the gateway serves, every import and every file opened for reading is told on stderr.
_CHILD = """
import json, logging, os, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from gateway.serve import serve
from gateway.settings import GatewaySettings
from pool.template import Template
settings, templates = json.loads(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([4, 6])  # as a login has them: they must be given up, too

serving = False

def watch(event, arguments):
    global serving
    if event == "import" and serving:
        os.write(2, f"LATE import {arguments[0]}\\n".encode())
    elif event == "open" and serving and isinstance(arguments[0], str):
        os.write(2, f"LATE open {arguments[0]}\\n".encode())

class Started(logging.Handler):
    def emit(self, record):
        global serving
        if record.getMessage().startswith("listening on"):
            serving = True

logging.getLogger("gateway.serve").addHandler(Started())
sys.addaudithook(watch)
sys.exit(serve(GatewaySettings(**settings), [Template(**one) for one in templates]))
"""


@dataclass
class Launched:
    """The process, its address, and everything it has written to stderr so far."""

    process: anyio.abc.Process
    http: httpx.AsyncClient
    port: int
    lines: list[str]

    async def end(self) -> int:
        with anyio.fail_after(20):
            return await self.process.wait()


@asynccontextmanager
async def launched(settings: dict[str, object], templates: list[dict[str, object]]) -> AsyncIterator[Launched]:
    """When the block begins, the gateway listens; at its end the process is gone."""
    lines: list[str] = []
    async with await start(settings, templates) as process, anyio.create_task_group() as tasks:
        try:
            tasks.start_soon(_collect, process, lines)
            with anyio.fail_after(30):
                while not (found := [line for line in lines if line.startswith("listening on")]):
                    assert process.returncode is None, "\n".join(lines)
                    await anyio.sleep(0.01)
            address = found[0].removeprefix("listening on ")
            async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=20.0) as http:
                yield Launched(process, http, int(address.rpartition(":")[2]), lines)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def start(settings: dict[str, object], templates: list[dict[str, object]]) -> anyio.abc.Process:
    return await anyio.open_process(
        [sys.executable, "-c", _CHILD, json.dumps([settings, templates])],
        stdin=None,
        stdout=PIPE,
        stderr=PIPE,
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )


async def _collect(process: anyio.abc.Process, lines: list[str]) -> None:
    assert process.stderr is not None
    rest = ""
    async for chunk in process.stderr:
        *whole, rest = (rest + chunk.decode()).split("\n")
        lines += whole
