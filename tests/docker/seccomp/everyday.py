"""Runs in a sandbox: what people's Python programs do, each in a few lines. Prints the names of those that failed."""

# The calls as people make them:
# ruff: noqa: PTH101, PTH104, PTH123, PTH211

import asyncio
import concurrent.futures
import http.server
import mmap
import multiprocessing
import multiprocessing.shared_memory
import os
import pty
import resource
import select
import shutil
import signal
import socket
import socketserver
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.request
from pathlib import Path


def square(number):
    return number * number


def child_processes():
    assert subprocess.run(["echo", "a"], capture_output=True, text=True).stdout == "a\n"
    assert subprocess.check_output("printf b | tr b c", shell=True) == b"c"
    assert subprocess.run(["true"], preexec_fn=os.setsid, cwd="/tmp", close_fds=True).returncode == 0
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    child.terminate()
    assert child.wait() == -signal.SIGTERM
    assert os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)[1] == 0


def threads():
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        assert sum(executor.map(square, range(100))) == 328350
    done = threading.Event()
    threading.Timer(0.01, done.set).start()
    assert done.wait(10)


def processes(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        assert list(executor.map(square, [4])) == [16]
    lock, queue, number = context.Lock(), context.Queue(), context.Value("i", 1)
    process = context.Process(target=add_and_tell, args=(lock, queue, number))
    process.start()
    assert queue.get(timeout=20) == "told"
    process.join()
    assert (process.exitcode, number.value) == (0, 2)


def add_and_tell(lock, queue, number):
    with lock:
        number.value += 1
    queue.put("told")


def processes_by_fork():
    processes("fork")


def processes_by_spawn():
    processes("spawn")


def processes_by_a_fork_server():
    processes("forkserver")


def shared_memory():
    block = multiprocessing.shared_memory.SharedMemory(create=True, size=1 << 16)
    other = multiprocessing.shared_memory.SharedMemory(block.name)
    block.buf[0] = 7
    assert other.buf[0] == 7
    other.close()
    block.close()
    block.unlink()
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        assert dict(shared) == {"a": 1}
    with mmap.mmap(-1, 4096) as memory:
        memory.write(b"x")


def coroutines():
    async def main():
        async def answer(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        for start, connect in (
            (asyncio.start_server(answer, "127.0.0.1", 0), asyncio.open_connection),
            (asyncio.start_unix_server(answer, "echo.sock"), asyncio.open_unix_connection),
        ):
            async with await start as server:
                address = server.sockets[0].getsockname()
                where = address if isinstance(address, tuple) else (address,)
                reader, writer = await connect(*where)
                writer.write(b"line\n")
                assert await reader.readline() == b"line\n"
                writer.close()
        child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert (await child.communicate(b"x"))[0] == b"x"
        assert await asyncio.to_thread(square, 3) == 9

    asyncio.run(main())


def http_on_localhost():
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}").read() == b"hello"
        server.shutdown()
    ssl.create_default_context()


def sockets():
    left, right = socket.socketpair()
    left.send(b"x")
    assert right.recv(1) == b"x"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.sendto(b"d", datagrams.getsockname())
        assert datagrams.recv(1) == b"d"
    socket.socket(socket.AF_INET6).close()
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert socket.getaddrinfo("127.0.0.1", 80)
    socket.send_fds(right, [b"f"], [0])
    assert len(socket.recv_fds(left, 1, 1)[1]) == 1


def databases():
    with sqlite3.connect("base.db") as base:
        base.execute("pragma journal_mode=wal")
        base.execute("create table t (x)")
        base.executemany("insert into t values (?)", [(n,) for n in range(100)])
        assert base.execute("select sum(x) from t").fetchone() == (4950,)
    base.close()


def files():
    Path("tree/below").mkdir(parents=True)
    Path("tree/a").write_bytes(os.urandom(100_000))
    shutil.copytree("tree", "copy", symlinks=True)
    assert Path("copy/a").read_bytes() == Path("tree/a").read_bytes()
    os.chown("copy/a", os.getuid(), os.getgid())
    os.chmod("copy/a", 0o600)
    os.utime("copy/a", (1, 2))
    os.link("copy/a", "copy/b")
    os.symlink("a", "copy/c")
    os.rename("copy/b", "copy/d")
    with open("tree/a", "rb") as source, open("target", "wb") as target:
        assert os.copy_file_range(source.fileno(), target.fileno(), 1000) == 1000
        assert os.sendfile(target.fileno(), source.fileno(), 0, 1000) == 1000
        os.fsync(target.fileno())
        os.posix_fallocate(target.fileno(), 0, 4096)
        os.truncate(target.fileno(), 10)
    shutil.make_archive("packed", "gztar", "tree")
    shutil.rmtree("copy")
    os.mkfifo("fifo")
    with tempfile.TemporaryFile() as nameless, tempfile.NamedTemporaryFile() as named:
        nameless.write(b"x")
        os.set_inheritable(named.fileno(), True)


def signals_and_timers():
    came = []
    signal.signal(signal.SIGALRM, lambda *_: came.append("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    os.kill(os.getpid(), signal.SIGALRM)
    assert came == ["alarm", "alarm"]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.sigtimedwait([signal.SIGUSR1], 1).si_signo == signal.SIGUSR1
    read, _ = os.pipe2(os.O_CLOEXEC)
    with select.epoll() as epoll:
        epoll.register(read, select.EPOLLIN)
        assert epoll.poll(0.01) == []


def limits_and_priorities():
    assert resource.getrlimit(resource.RLIMIT_CORE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))
    resource.prlimit(0, resource.RLIMIT_CPU)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    assert os.nice(1) == 1
    os.setpriority(os.PRIO_PROCESS, 0, 2)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    resource.getrusage(resource.RUSAGE_CHILDREN)


def terminals():
    child, terminal = pty.fork()
    if not child:
        os.execvp("echo", ["echo", "tty"])
    assert os.read(terminal, 100) == b"tty\r\n"
    os.waitpid(child, 0)


if __name__ == "__main__":
    failed = []
    for what in (
        child_processes, threads, processes_by_fork, processes_by_spawn, processes_by_a_fork_server, shared_memory,
        coroutines, http_on_localhost, sockets, databases, files, signals_and_timers, limits_and_priorities, terminals,
    ):  # fmt: skip
        try:
            what()
        except Exception:
            traceback.print_exc()
            failed.append(what.__name__)
    print("failed:", *failed)
    sys.exit(bool(failed))
