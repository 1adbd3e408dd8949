"""The Go worker, its agent a plain subprocess: a run is what `go run main.go` is."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conformance.agent_process import AgentProcess, command_line
from tests.conformance.conftest import StartAgent, go_tool
from tests.conformance.worker_runs import (
    RUNNERS,
    base_environment,
    manifest,
    overdue,
    plainly,
    signalled,
    through_agent,
)
from tests.programs.cases import Case, each

#: Enough of the standard library for the sample; compiling all of it would take most of a minute.
PACKAGES = (
    "fmt",
    "bufio",
    "io",
    "os",
    "os/exec",
    "os/signal",
    "sort",
    "strings",
    "sync",
    "runtime/debug",
    "path/filepath",
)

SAMPLE = each(
    "go",
    "arguments",
    "deadlock",
    "exit_status_3",
    "import_that_does_not_exist",
    "killed_by_its_own_signal",
    "many_compile_errors",
    "no_main_function",
    "odd_source_is_not_utf8",
    "other_files_of_the_directory_are_not_compiled",
    "panic_string",
    "several_packages",
    "signal_handler",
    "stdin_bytes",
    "stdin_scanner",
    "syntax_error",
    "undefined_name",
    "where_it_runs",
)


@pytest.fixture(scope="session")
def workers(public_directory: Path) -> Path:
    """A directory with the Go worker in it, built and prepared as in an image."""
    target = public_directory / "go"
    target.mkdir()
    build = ["build", "-trimpath", "-ldflags", "-s -w", "-o", str(target / "goworker"), "."]
    env = os.environ | {"CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run([go_tool(), *build], cwd=RUNNERS / "go", env=env, check=True)
    environment = go_environment(public_directory, public_directory)
    subprocess.run([str(target / "goworker"), "prepare", *PACKAGES], env=environment, check=True)
    return public_directory


def go_environment(workspace: Path, workers: Path) -> dict[str, str]:
    """As in the image, but for a build cache that can be written to. What is built there goes with the workspace."""
    cache = subprocess.run([go_tool(), "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    temporary = workspace.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    return base_environment(workspace) | {
        "GOCACHE": cache,
        "GOCACHEPROG": f"{workers}/go/goworker cacheprog",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "TEST_TELEMETRY_DIR": "/dev/null",
        "TMPDIR": str(temporary),
    }


@pytest.fixture
def environment(workspace: Path, workers: Path) -> dict[str, str]:
    return go_environment(workspace, workers)


@pytest.fixture
def agent(start_agent: StartAgent, workspace: Path, workers: Path, environment: dict[str, str]) -> AgentProcess:
    return start_agent(manifest("go", workspace, workers), env=environment).greeted()


def program(text: str) -> Case:
    return Case("go", "inline", {"main.go": text.encode()}, plain="main.go")


@pytest.mark.parametrize("case", SAMPLE)
def test_a_run_is_as_running_the_file(
    agent: AgentProcess, workspace: Path, environment: dict[str, str], case: Case
) -> None:
    ours = through_agent(agent, case, last=True)
    assert ours == plainly(case, workspace, environment)


def test_nothing_of_a_build_is_left_behind(agent: AgentProcess, tmp_path: Path) -> None:
    case = program('package main\n\nimport "os"\n\nfunc main() { println(os.Args[0]); os.Exit(2) }\n')
    _, stderr, ending = through_agent(agent, case, env={"TMPDIR": str(tmp_path)})
    assert stderr.startswith(str(tmp_path).encode()) and stderr.endswith(b"/b001/exe/main\nexit status 2\n")
    assert ending == "exit 1"
    assert list(tmp_path.iterdir()) == []


def test_where_programs_may_not_be_built_the_go_command_says_so(agent: AgentProcess) -> None:
    case = program('package main\n\nimport "fmt"\n\nfunc main() { fmt.Println() }\n')
    _, stderr, ending = through_agent(agent, case, env={"TMPDIR": "/no/such/directory"})
    assert (stderr[:25], ending) == (b"go: creating work dir: st", "exit 1")


HANDLES = """package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("ready")
	fmt.Println("handled", <-signals)
}
"""


def test_a_signal_reaches_the_program(agent: AgentProcess) -> None:
    assert signalled(agent, program(HANDLES), signal.SIGTERM) == (b"handled terminated\n", b"", "exit 0")
    waits = 'import (\n\t"fmt"\n\t"time"\n)\n\nfunc main() { fmt.Println("ready"); time.Sleep(time.Minute) }\n'
    unhandled = program(f"package main\n\n{waits}")
    assert signalled(agent, unhandled, signal.SIGKILL)[2] == "signal 9"
    assert signalled(agent, unhandled, signal.SIGTERM) == (b"", b"signal: terminated\n", "exit 1")


def test_the_deadline_ends_a_program_and_its_children(agent: AgentProcess) -> None:
    text = 'package main\n\nimport "os/exec"\n\nfunc main() { exec.Command("sleep", "61.7").Run() }\n'
    outcome = overdue(agent, program(text))
    assert (outcome.exit["timed_out"], outcome.signal) == (True, 9)
    assert not [pid for pid in agent.descendants() if b"61.7" in command_line(pid) or b"go-build" in command_line(pid)]
