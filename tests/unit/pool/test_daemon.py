"""The daemon and its client over their real socket, with a fake engine behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
import sniffio

from gateway.pool_client import PoolClient
from pool import daemon
from pool.engine import EngineError, Usage
from pool.errors import PoolTimeout, PoolUnavailable, UnknownTemplate
from pool.messages import MAX_PACKET_BYTES, Granted, new_socket
from pool.template import Template
from pool.testing import fake_pool_daemon
from runners.channel import Transport
from runners.execution import Execution, ProgramFile, execute

PYTHON = Template(
    name="python", language="python", image="petri/python", target=2, max_sandboxes=4, wait_s=1.0, max_idle_s=3600
)


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The real clock everywhere: here the sockets are what is waited for."""
    return ("asyncio", {"use_uvloop": True}) if request.param == "uvloop" else request.param


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool.sock"


def program(text: str) -> Execution:
    return Execution(program="main.py", files=[ProgramFile("main.py", text.encode())], last=True)


async def settled(fleet, condition) -> None:
    """Until the daemon, which hears through a socket, has come to `condition`."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.sleep(0.001)


@asynccontextmanager
async def nothing_left(engine, fleet, client) -> AsyncIterator[None]:
    """Lease all that the pool holds and let it boot nothing more: whoever asks now waits."""
    await settled(fleet, lambda: fleet.stats().pools[0].ready == 2)
    engine.gates["start"] = anyio.Event()
    leases = [await client.lease("python") for _ in range(2)]
    yield
    engine.gates["start"].set()
    for lease in leases:
        lease.channel.close()


def counts(fleet) -> tuple[int, int]:
    now = fleet.stats().pools[0]
    return now.leased, now.waiting


async def test_a_lease_carries_the_sandboxs_own_stream(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, fleet), PoolClient.connect(path) as client:
        lease = await client.lease("python")
        assert lease.sandbox_id in engine.containers
        outcome = await execute(lease.channel, program("print hello\nerr oops\nexit 3"))
        assert (outcome.stdout, outcome.stderr, outcome.output) == (b"hello\n", b"oops\n", b"hello\noops\n")
        assert (outcome.exit_code, outcome.signal) == (3, None)
        client.release(lease, "done")
        await settled(fleet, lambda: lease.sandbox_id not in engine.containers)


async def test_many_leases_are_answered_each_to_its_asker(path):
    async with fake_pool_daemon([PYTHON], path) as (_, fleet), PoolClient.connect(path) as client:
        said: set[bytes] = set()

        async def run(number: int) -> None:
            lease = await client.lease("python")
            outcome = await execute(lease.channel, program(f"print {number}"))
            assert outcome.stdout == b"%d\n" % number
            said.add(outcome.stdout)
            client.release(lease, "done")

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(run, number)
        assert len(said) == 12
        await settled(fleet, lambda: counts(fleet) == (0, 0))


async def test_refusals_arrive_as_what_they_were(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, fleet), PoolClient.connect(path) as client:
        with pytest.raises(UnknownTemplate, match="there are python"):
            await client.lease("cobol")
        async with nothing_left(engine, fleet, client):
            with pytest.raises(PoolTimeout, match="nothing ready within 1 s") as timeout:
                await client.lease("python")
        assert timeout.value.retryable


async def test_a_gateway_that_goes_away_loses_all_its_leases_and_its_places_in_the_queue(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, fleet):
        async with PoolClient.connect(path) as client, nothing_left(engine, fleet, client):
            with pytest.RaisesGroup(PoolUnavailable):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.lease, "python")
                    await settled(fleet, lambda: counts(fleet) == (2, 1))
                    client.disconnect("as if it had crashed")
            await settled(fleet, lambda: counts(fleet) == (0, 0))


async def test_the_client_comes_back_when_the_daemon_does(path):
    async with PoolClient.connect(path) as client:
        with pytest.raises(PoolUnavailable, match="is not there"):
            await client.lease("python")
        for _ in range(2):
            async with fake_pool_daemon([PYTHON], path):
                with anyio.fail_after(5):
                    while not client.is_connected:
                        await anyio.sleep(0.01)
                lease = await client.lease("python")
                client.release(lease, "done")
            with anyio.fail_after(5):
                while client.is_connected:
                    await anyio.sleep(0.01)


async def test_a_daemon_that_goes_away_fails_those_who_wait(path):
    async with PoolClient.connect(path) as client:
        failure = []

        async def wait() -> None:
            try:
                await client.lease("python")
            except PoolUnavailable as error:
                failure.append(str(error))

        async with anyio.create_task_group() as tasks:
            async with fake_pool_daemon([PYTHON], path) as (engine, fleet):
                with anyio.fail_after(5):
                    while not client.is_connected:
                        await anyio.sleep(0.01)
                async with nothing_left(engine, fleet, client):
                    tasks.start_soon(wait)
                    await settled(fleet, lambda: counts(fleet) == (2, 1))
                    engine.gates["start"] = anyio.Event()  # stays shut: nothing becomes ready before the end
        assert len(failure) == 1


async def test_a_cancelled_asker_leaves_nothing_leased(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, fleet), PoolClient.connect(path) as client:
        async with nothing_left(engine, fleet, client):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.lease, "python")
                await settled(fleet, lambda: counts(fleet) == (2, 1))
                tasks.cancel_scope.cancel()
            await settled(fleet, lambda: counts(fleet) == (2, 0))


async def test_a_native_cancel_that_crosses_the_answer_gives_the_lease_back(path):
    if sniffio.current_async_library() != "asyncio":
        return  # trio has scopes only, tested above
    async with fake_pool_daemon([PYTHON], path) as (_, fleet), PoolClient.connect(path) as client:
        for turns in range(12):  # cancel after each possible number of turns of the loop, around the answer's arrival
            task = asyncio.ensure_future(client.lease("python"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                client.release(await task, "was quicker")
            await settled(fleet, lambda: counts(fleet) == (0, 0))


async def test_usage_comes_from_the_engine(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, _), PoolClient.connect(path) as client:
        lease = await client.lease("python")
        engine.containers[lease.sandbox_id].usage_now = Usage(oom_kills=2, memory_peak_bytes=5, cpu_ns=7)
        assert await client.usage(lease) == Usage(2, 5, 7)
        client.release(lease, "done")


async def test_an_engine_that_cannot_tell_the_usage_costs_an_answer_and_nothing_else(path):
    async with fake_pool_daemon([PYTHON], path) as (engine, _), PoolClient.connect(path) as client:
        lease = await client.lease("python")

        async def fails() -> Usage:
            raise EngineError("engine_down", "no answer")

        engine.containers[lease.sandbox_id].usage = fails
        with pytest.raises(PoolUnavailable, match="no answer"):
            await client.usage(lease)
        assert (await execute(lease.channel, program("print on"))).stdout == b"on\n"
        client.release(lease, "done")


async def test_a_gateway_that_talks_nonsense_is_dropped(path):
    async with fake_pool_daemon([PYTHON], path):
        with new_socket() as sock:
            sock.connect(str(path))
            sock.send(b'{"op": "shell", "template": "python"}')
            with anyio.fail_after(5):
                await anyio.wait_readable(sock)
            assert sock.recv(10) == b""


async def test_the_socket_is_for_its_owner_and_group_only(path):
    async with fake_pool_daemon([PYTHON], path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_descriptors_do_not_leak_from_lease_to_lease(path):
    async with fake_pool_daemon([PYTHON], path) as (_, fleet), PoolClient.connect(path) as client:

        async def lease_and_release() -> None:
            client.release(await client.lease("python"), "done")
            await settled(fleet, lambda: fleet.stats().pools[0].ready == 2 and fleet.stats().pools[0].doomed == 0)

        await lease_and_release()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            await lease_and_release()
        assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize(
    "packet", [b"{}", b"not json", b" " * (MAX_PACKET_BYTES + 1)], ids=["json", "text", "too long"]
)
async def test_a_daemon_that_talks_nonsense_is_left(path, packet):
    with daemon.listening(path) as listener:
        async with PoolClient.connect(path) as client:
            await anyio.wait_readable(listener)
            peer, _ = listener.accept()
            peer.setblocking(False)
            with peer:
                asked = anyio.Event()

                async def ask() -> None:
                    with pytest.raises(PoolUnavailable, match="went away"):
                        await client.lease("python")
                    asked.set()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await anyio.wait_readable(peer)
                    peer.send(packet)
                    with anyio.fail_after(5):
                        await asked.wait()


async def test_a_gateway_that_does_not_read_its_answers_costs_nobody_else_anything(path):
    async with fake_pool_daemon([PYTHON], path) as (_, fleet):
        with new_socket() as deaf:
            deaf.connect(str(path))
            deaf.setblocking(True)
            deaf.settimeout(5)
            for number in range(600):  # more answers than the socket holds
                await anyio.to_thread.run_sync(deaf.send, b'{"id":%d,"op":"stats"}' % number)
            async with PoolClient.connect(path) as client:
                with anyio.fail_after(5):
                    lease = await client.lease("python")
                client.release(lease, "done")
                await settled(fleet, lambda: counts(fleet) == (0, 0))


async def test_more_than_the_socket_holds_is_asked_and_ended_in_order(path):
    with daemon.listening(path) as listener:
        async with PoolClient.connect(path) as client:
            await anyio.wait_readable(listener)
            peer, _ = listener.accept()
            peer.setblocking(False)
            with peer:
                async with anyio.create_task_group() as tasks:
                    for _ in range(1000):
                        tasks.start_soon(client.lease, "python")
                    await anyio.wait_all_tasks_blocked()
                    heard = []
                    with anyio.fail_after(5):
                        while len(heard) < 1000:
                            try:
                                heard.append(json.loads(peer.recv(4096))["id"])
                            except BlockingIOError:
                                await anyio.wait_readable(peer)
                    assert heard == sorted(heard)
                    tasks.cancel_scope.cancel()


async def test_a_daemon_that_hangs_is_not_waited_for_without_end_and_a_late_lease_goes_back(path):
    with daemon.listening(path) as listener:
        async with PoolClient.connect(path) as client:
            await anyio.wait_readable(listener)
            peer, _ = listener.accept()
            peer.settimeout(5)
            with peer:
                with anyio.fail_after(5), pytest.raises(PoolUnavailable, match=r"did not answer within 0\.05 s"):
                    await client.lease("python", within_s=0.05)
                assert [json.loads(peer.recv(4096))["op"] for _ in range(2)] == ["lease", "cancel"]
                late = Granted(id=1, lease="l1", sandbox="s", transport=Transport.RAW, queue_s=0.0, thaw_s=0.0)
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    socket.send_fds(peer, [late.model_dump_json().encode()], [theirs.fileno()])
                    end = await anyio.to_thread.run_sync(peer.recv, 4096)
                assert json.loads(end) == {"id": 0, "op": "end", "lease": "l1", "reason": "caller gone"}


async def test_one_who_asks_while_the_connection_ends_is_told_that_it_is_gone(path):
    with daemon.listening(path) as listener:
        async with PoolClient.connect(path) as client:
            await anyio.wait_readable(listener)
            peer, _ = listener.accept()
            peer.setblocking(False)
            with peer:

                async def ask() -> None:
                    with pytest.raises(PoolUnavailable):
                        await client.lease("python")

                async with anyio.create_task_group() as tasks:
                    for _ in range(5000):  # more than the socket holds: the last ones wait until they may write
                        tasks.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    client.disconnect("a test says so")
