"""A dockerd and a containerd of the tests' own, beside the machine's: to be killed, stopped, started and filled up.

containerd is a process of its own, as distributions run it, not dockerd's child: dockerd then does not start another
one when it dies, and goes on answering pings. The data lie in a file system of limited size in memory, which
can be full. Containers are put under a cgroup of this engine's, so that they can be counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker

#: For the Python image (104 MB) and what containers need. In memory: not more than needed.
_DATA_MIB = 400
_START_S = 30.0
_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def can_run() -> bool:
    """Only root can start an engine, and only where its programs are."""
    return os.geteuid() == 0 and all(shutil.which(name, path=_SBIN) for name in ("dockerd", "containerd"))


class SecondEngine:
    """Use within `running()`. Each daemon is a process that the tests own, by name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "docker.sock"
        self.data = directory / "data"
        self.cgroup_parent = f"petri-faults-{os.getpid()}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.dockerd_was_killed = False
        self._containerd_socket = directory / "containerd.sock"
        self._ballast = self.data / "ballast"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[SecondEngine]:
        # Not pytest's own directory: a socket's path holds 107 characters.
        engine = cls(Path(tempfile.mkdtemp(prefix="petri-faults-")))
        engine.directory.chmod(0o711)
        engine.data.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DATA_MIB}m,mode=711", "petri-faults", engine.data], check=True
        )
        try:
            engine.start("containerd")
            engine.start("dockerd")
            yield engine
        finally:
            engine._end()

    def start(self, name: str) -> None:
        """Start one of the two, and wait until it answers."""
        commands = {"containerd": self._containerd_command, "dockerd": self._dockerd_command}
        log = (self.directory / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            commands[name](), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            env={"PATH": _SBIN, "HOME": "/root"},
        )  # fmt: skip
        log.close()
        give_up = time.monotonic() + _START_S
        while not (self._containerd_socket.exists() if name == "containerd" else self.answers()):
            assert time.monotonic() < give_up, f"{name} did not start; its log is in {self.directory}"
            assert self.processes[name].poll() is None, (self.directory / f"{name}.log").read_text()[-2000:]
            time.sleep(0.02)

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Outright, and wait until it is gone."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(30)
        if name == "containerd":
            self._containerd_socket.unlink(missing_ok=True)  # so that its successor's is told from it
        else:
            self.dockerd_was_killed = True
            (self.directory / "dockerd.pid").unlink(missing_ok=True)  # its number may be another's by the next start

    def answers(self) -> bool:
        """To a ping, which says nothing about containerd."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            sock.connect(str(self.socket))
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in sock.recv(100)
        return False

    def client(self, timeout_s: int = 60) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.url, timeout=timeout_s, version="1.41")

    def take_image(self, name: str) -> None:
        """From the machine's engine, through no file."""
        source, target = docker.from_env(timeout=120), self.client(timeout_s=120)
        try:
            target.api.load_image(source.api.get_image(name))
        finally:
            source.close()
            target.close()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte more can be written to the data meanwhile: what containers that go give back is taken at once."""
        stop, is_full = threading.Event(), threading.Event()

        def fill() -> None:
            with self._ballast.open("wb", buffering=0) as file:
                while not stop.is_set():
                    for size in (1 << 20, 4096, 512):
                        with contextlib.suppress(OSError):
                            while file.write(b"\0" * size) and not stop.is_set():
                                pass
                    is_full.set()
                    stop.wait(0.01)

        thread = threading.Thread(target=fill)
        thread.start()
        try:
            assert is_full.wait(30)
            yield
        finally:
            stop.set()
            thread.join()
            self._ballast.unlink()

    # -- census -----------------------------------------------------------------------------------------------------

    def cgroups(self) -> set[str]:
        return {str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{self.cgroup_parent}/*") if path.is_dir()} | {
            str(path) for path in Path("/sys/fs/cgroup").glob(f"{self.cgroup_parent}/*") if path.is_dir()
        }

    def shims(self) -> dict[str, int]:
        """Container id to the pid of the shim that is there for it."""
        return {words[words.index("-id") + 1]: pid for pid, words in self._processes() if "-id" in words}

    def supervises(self, shim: int) -> bool:
        """Whether it has a process to be there for."""
        try:
            return bool(Path(f"/proc/{shim}/task/{shim}/children").read_text().strip())
        except OSError:
            return False

    def mounts(self) -> set[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return {line.split()[4] for line in lines if str(self.directory) in line.split()[4]}

    def _processes(self) -> Iterator[tuple[int, list[str]]]:
        """Those that name this engine's directory in their command line."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(self.directory) in command:
                    yield int(process.name), command.split("\0")

    # -- the end ----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        for name in ("dockerd", "containerd"):
            if process := self.processes.pop(name, None):
                process.send_signal(signal.SIGCONT)
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()
        for _, pid in self.shims().items():  # of a test that failed half-way
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in sorted(self.mounts(), key=len, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        for pattern in (f"*/{self.cgroup_parent}", self.cgroup_parent):
            for path in Path("/sys/fs/cgroup").glob(pattern):
                with contextlib.suppress(OSError):
                    path.rmdir()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _containerd_command(self) -> list[str]:
        config = self.directory / "containerd.toml"
        config.write_text(
            "version = 2\n"
            f'root = "{self.data / "containerd"}"\n'
            f'state = "{self.directory / "containerd-state"}"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
            f'[grpc]\naddress = "{self._containerd_socket}"\n'
        )
        return ["containerd", "--config", str(config), "--log-level", "error"]

    def _dockerd_command(self) -> list[str]:
        config = self.directory / "daemon.json"
        settings = {
            "hosts": [self.url],
            "containerd": str(self._containerd_socket),
            "data-root": str(self.data / "docker"),
            "exec-root": str(self.directory / "exec"),
            "pidfile": str(self.directory / "dockerd.pid"),
            "cgroup-parent": f"/{self.cgroup_parent}",
            "live-restore": True,  # as scripts/engine has it
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "userland-proxy": False,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "log-level": "error",
        }
        config.write_text(json.dumps(settings))
        return ["dockerd", "--config-file", str(config)]
