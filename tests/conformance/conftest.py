"""Builds the agent once and starts it as a plain subprocess: the same binary, manifest and frames as in a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.conformance.agent_process import AS_PID_1, AgentProcess

ROOT = Path(__file__).resolve().parents[2]
DOUBLE = Path(__file__).parent / "doubles" / "sh_worker.py"


def go_tool() -> str:
    """The Go toolchain that the lock file installs beside this interpreter, else the machine's."""
    installed = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    packaged = installed / "go" / "bin" / "go"
    found = str(packaged) if packaged.exists() else shutil.which("go")
    assert found, f"no Go toolchain: neither {packaged} nor a go on PATH"
    return found


@pytest.fixture(scope="session")
def public_directory() -> Iterator[Path]:
    """A directory that any uid can read: pytest's own are closed to all but their owner."""
    directory = Path(tempfile.mkdtemp(prefix="petri-conformance-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def agent_binary(public_directory: Path) -> Path:
    target = public_directory / "agent"
    subprocess.run(
        [go_tool(), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), "."],
        cwd=ROOT / "runners" / "agent",
        env=os.environ | {"CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local"},
        check=True,
    )
    return target


def sh_manifest(*, zygote: bool = False, **changes: object) -> dict[str, object]:
    """A manifest of the test double, whose language is the shell's."""
    return {
        "language": "sh",
        "language_version": "0.0",
        "command": [os.path.realpath(sys.executable), "-I", "-S", str(DOUBLE)],
        "env": {"SH_ONLY_FOR_THE_WORKER": "1"},
        "zygote": zygote,
        "boot_env": ["SH_*"],
    } | changes


class StartAgent(Protocol):
    def __call__(
        self,
        manifest: Mapping[str, object],
        *,
        pid_1: bool = False,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> AgentProcess: ...


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A work directory for one agent."""
    with tempfile.TemporaryDirectory(prefix="petri-workspace-") as parent:
        Path(parent).chmod(0o755)
        directory = Path(parent, "workspace")
        directory.mkdir()
        yield directory


@pytest.fixture
def start_agent(agent_binary: Path, workspace: Path) -> Iterator[StartAgent]:
    """Starts agents with a manifest of the test's choice, all over one work directory. They end with the test."""
    with contextlib.ExitStack() as running:

        def start(
            manifest: Mapping[str, object],
            *,
            pid_1: bool = False,
            prefix: Sequence[str] = (),
            env: Mapping[str, str] | None = None,
        ) -> AgentProcess:
            before = [*(AS_PID_1 if pid_1 else ()), *prefix]
            return running.enter_context(AgentProcess(agent_binary, manifest, workspace, prefix=before, env=env))

        yield start


@pytest.fixture(params=["spare", "zygote"])
def zygote(request: pytest.FixtureRequest) -> bool:
    """Tests that use this hold for both kinds of worker."""
    return bool(request.param == "zygote")


@pytest.fixture(params=["plain", "pid1"])
def agent(request: pytest.FixtureRequest, start_agent: StartAgent, zygote: bool) -> AgentProcess:
    """An agent that has said HELLO: as a plain process and as PID 1, with a spare worker and with a zygote."""
    return start_agent(sh_manifest(zygote=zygote), pid_1=request.param == "pid1").greeted()
