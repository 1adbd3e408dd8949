"""A test double of a language worker: it honours PROTOCOL.md's worker half, and its language is the shell's.

The agent's tests need a worker of either kind, spare and zygote, that starts in milliseconds and whose programs can do
anything to their surroundings. It is no part of the product; the real workers have a suite of their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    if os.environ.get("DOUBLE_FAILS"):
        print("first line\nsecond line: no such luck", file=sys.stderr)
        raise SystemExit(3)
    if os.environ.get("DOUBLE_HANGS"):
        signal.pause()
    channel = socket.socket(fileno=int(os.environ["PETRI_WORKER_FD"]))
    channel.send(b"R")
    begun = b""
    if os.environ.get("PETRI_ZYGOTE"):
        channel, begun = serve_forks(channel)
    become(channel, begun)


def serve_forks(channel: socket.socket) -> tuple[socket.socket, bytes]:
    """Returns in the process that is to become the program, with its socket and what was read of its go message."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 1, 4)
        if not request:
            os._exit(0)
        if request != b"F":
            return channel, request
        between = os.fork()
        if between == 0:
            if os.fork():
                os._exit(0)
            channel.close()
            for target, descriptor in enumerate(descriptors[:3]):
                os.dup2(descriptor, target)
                os.close(descriptor)
            channel = socket.socket(fileno=descriptors[3])
            channel.send(b"R")
            return channel, b""
        os.waitpid(between, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def become(channel: socket.socket, begun: bytes) -> None:
    length = int.from_bytes(begun + receive(channel, 4 - len(begun)), "big")
    go = json.loads(receive(channel, length))
    channel.close()
    os.chdir(go["cwd"])
    go["env"]["DOUBLE_STARTED_WITH"] = os.environ.get("SH_BOOT", "")
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.execve("/bin/sh", ["sh", go["program"], *go["args"]], go["env"])


def receive(channel: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = channel.recv(size - len(received))
        if not piece:
            os._exit(0)  # end of file instead of a message means: exit
        received += piece
    return received


main()
