"""Two thousand connections, five hundred of them in the middle of a large body: memory and time stay bounded."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.to_thread

from pool.testing import fake_pool_daemon
from tests.gateway.launched import Launched, launched
from tests.gateway.raw import connected, request, run
from tests.gateway.served import PYTHON

CONNECTIONS, SLOW = 2000, 500
#: All slow senders together send eight times what bodies may take.
BODIES_MIB, SENT_EACH = 32, 512 << 10
#: Besides the bodies: what uvicorn holds of each (64 KiB while it is read), heads, and what the allocator keeps.
OTHERWISE_MIB = 64


def resident_mib(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fill(port: int, stack: ExitStack) -> list[socket.socket]:
    """As clients that mean harm: nothing, half a head, or the beginning of a large body."""
    head = request("POST", "/v1/run", Content_Length=str(8 << 20), Content_Type="application/json")
    body, part = b'{"code": "' + b"x" * SENT_EACH, request()[:20]
    slow = []
    for number in range(CONNECTIONS):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        sock.settimeout(20)
        if number % (CONNECTIONS // SLOW) == 0:
            sock.sendall(head + body)
            slow.append(sock)
        elif number % 2:
            sock.sendall(part)
    return slow


def to_the_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


async def seconds(gateway: Launched) -> float:
    """Of one run, over a connection of its own."""
    started = time.perf_counter()
    async with connected(gateway.port) as client:
        await client.send(run("print 1", stdin="x" * 200_000))  # comes in several pieces
        assert (await client.answer()).status == 200
    return time.perf_counter() - started


async def test_two_thousand_connections_and_five_hundred_slow_senders_take_bounded_memory_and_time() -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path = Path(directory) / "pool.sock"
        await anyio.Path(directory).chmod(0o755)
        settings: dict[str, object] = {
            "port": 0,
            "pool_socket": str(path),
            "max_connections": CONNECTIONS + 100,
            "bodies_mib": BODIES_MIB,
            "head_timeout_s": 60.0,
            "body_timeout_s": 60.0,
        }
        async with fake_pool_daemon([PYTHON], path):
            await anyio.Path(path).chmod(0o777)
            async with launched(settings, [PYTHON.model_dump()]) as gateway:
                process = gateway.process.pid
                alone = [await seconds(gateway) for _ in range(10)]
                before = resident_mib(process)
                slow = await anyio.to_thread.run_sync(fill, gateway.port, stack)
                beside = [await seconds(gateway) for _ in range(10)]
                text = (await gateway.http.get("/metrics")).text
                metrics = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
                grown = resident_mib(process) - before
                assert float(metrics["petri_http_connections"]) >= CONNECTIONS - SLOW
                assert 0 < float(metrics["petri_http_body_bytes"]) <= BODIES_MIB << 20
                assert grown < BODIES_MIB + OTHERWISE_MIB, f"{grown:.0f} MiB more than {before:.0f}"
                assert statistics.median(beside) < max(20 * statistics.median(alone), 1.0), (alone, beside)

                spent = processor_s(process)
                await anyio.sleep(1.0)
                spent = processor_s(process) - spent
                assert spent < 0.3, f"{spent:.2f} s of processor time in a second of nothing"

                # Who was let go is told when it says something more.
                slow[0].sendall(b"x")
                answer = await anyio.to_thread.run_sync(to_the_end, slow[0])
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b'"too_many_bodies"' in answer
                assert b"retry-after: " in answer.lower()
