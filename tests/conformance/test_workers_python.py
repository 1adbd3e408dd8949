"""The Python worker, its agent a plain subprocess: a run is what `python3 main.py` is."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.conformance.agent_process import AgentProcess, command_line
from tests.conformance.conftest import StartAgent
from tests.conformance.worker_runs import base_environment, manifest, overdue, plainly, signalled, through_agent
from tests.programs.cases import Case, each

SAMPLE = each(
    "python",
    "arguments",
    "asyncio_program",
    "descriptors",
    "empty",
    "environment",
    "exception_chain",
    "finalisers",
    "fresh_state",
    "imports_one_by_one",
    "keyboard_interrupt",
    "multiprocessing_all_ways",
    "own_file_hides_what_a_standard_module_needs",
    "several_files",
    "source_in_latin1",
    "source_is_not_utf8",
    "source_with_null",
    "stdin_bytes",
    "stdin_input",
    "stdin_is_no_utf8",
    "syntax_error",
    "time_zone",
    "user_site",
    "where_it_runs",
)


@pytest.fixture
def agent(start_agent: StartAgent, workspace: Path) -> AgentProcess:
    return start_agent(manifest("python", workspace), env=base_environment(workspace)).greeted()


def program(text: str) -> Case:
    return Case("python", "inline", {"main.py": text.encode()}, plain="main.py")


@pytest.mark.parametrize("case", SAMPLE)
def test_the_only_run_of_a_sandbox_is_as_running_the_file(agent: AgentProcess, workspace: Path, case: Case) -> None:
    ours = through_agent(agent, case, last=True)
    assert ours == plainly(case, workspace, base_environment(workspace))


@pytest.mark.parametrize("case", SAMPLE)
def test_a_later_run_of_a_session_is_as_running_the_file(agent: AgentProcess, workspace: Path, case: Case) -> None:
    through_agent(agent, program("import json, os; json.dumps(os.listdir('.'))"))
    (workspace / "main.py").unlink()
    ours = through_agent(agent, case)
    assert ours == plainly(case, workspace, base_environment(workspace))


def test_state_of_one_run_is_not_there_in_the_next(agent: AgentProcess) -> None:
    leave = "import builtins, json, os, sys; builtins.left = json.left = sys.left = os.environ['LEFT'] = 'x'"
    look = (
        "import builtins, json, os, sys; print([hasattr(m, 'left') for m in (builtins, json, sys)], os.getenv('LEFT'))"
    )
    through_agent(agent, program(leave))
    assert through_agent(agent, program(look))[0] == b"[False, False, False] None\n"


def test_a_program_under_another_name_is_run_as_such(agent: AgentProcess) -> None:
    case = Case("python", "inline", {"sub/tool.py": b"import sys; print(sys.argv, __file__[-11:], sys.path[0][-3:])"})
    ours = through_agent(agent, case, program="sub/tool.py", args=["x"])
    assert ours == (b"['" + str(agent.workspace).encode() + b"/sub/tool.py', 'x'] sub/tool.py sub\n", b"", "exit 0")


def test_a_run_in_another_directory_finds_its_program(agent: AgentProcess) -> None:
    case = Case(
        "python",
        "inline",
        {"main.py": b"import os, sys; print(os.getcwd()[-4:], os.path.isabs(sys.argv[0]))", "deep/x": b""},
    )
    assert through_agent(agent, case, cwd="deep")[0] == b"deep True\n"


def test_nothing_of_the_worker_is_left_in_the_process(agent: AgentProcess) -> None:
    text = (
        "import os, sys\n"
        "print([name for name in os.environ if 'PETRI' in name or name == 'PYTHONPATH'],"
        " [path for path in sys.path if 'runners' in path], [name for name in sys.modules if 'shelf' in name],"
        " open('/proc/self/cmdline').read().split(chr(0)))\n"
    )
    assert through_agent(agent, program(text))[0] == b"[] [] [] ['python3', 'main.py', '']\n"


def test_random_numbers_differ_between_the_runs_of_a_session(agent: AgentProcess) -> None:
    text = program("import random, uuid; print(random.random(), uuid.uuid4())")
    assert through_agent(agent, text)[0] != through_agent(agent, text)[0]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="changes to an ordinary user first")
def test_a_program_cannot_reach_into_the_process_that_later_runs_are_forked_from(
    start_agent: StartAgent, workspace: Path
) -> None:
    os.chown(workspace, 4321, 4321)
    dropped = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"]
    environment = base_environment(workspace) | {"PATH": "/usr/bin:/bin"}  # an interpreter that any uid can run
    agent = start_agent(manifest("python", workspace), prefix=dropped, env=environment).greeted()
    through_agent(agent, program("pass"))
    text = """
import os
reachable = []
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    try:
        same_user = os.stat(f"/proc/{pid}/cmdline") and f"Uid:\\t4321" in open(f"/proc/{pid}/status").read()
        with open(f"/proc/{pid}/mem", "r+b"):
            reachable.append(pid == os.getpid())
    except OSError:
        pass
print(reachable)
"""
    assert through_agent(agent, program(text))[0] == b"[True]\n"


def test_a_signal_reaches_the_program(agent: AgentProcess) -> None:
    wait = "print('ready', flush=True)\nwhile not seen: time.sleep(0.01)\nprint('goes on')\n"
    handled = program(f"import signal, time\nseen = []\nsignal.signal(15, lambda *_: seen.append(1))\n{wait}")
    assert signalled(agent, handled, signal.SIGTERM) == (b"goes on\n", b"", "exit 0")
    assert signalled(agent, program(f"import time\nseen = []\n{wait}"), signal.SIGTERM) == (b"", b"", "signal 15")


def test_the_deadline_ends_a_program_and_its_children(agent: AgentProcess) -> None:
    outcome = overdue(agent, program("import subprocess; subprocess.run(['sleep', '61.7'])"))
    assert (outcome.exit["timed_out"], outcome.signal) == (True, 9)
    assert not [pid for pid in agent.descendants() if b"61.7" in command_line(pid)]
