"""The Node worker, its agent a plain subprocess: a run is what `node main.js` or `node main.mjs` is."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conformance.agent_process import AgentProcess, command_line
from tests.conformance.conftest import StartAgent
from tests.conformance.worker_runs import base_environment, manifest, overdue, plainly, signalled, through_agent
from tests.programs.cases import Case, each

SAMPLE = each(
    "node",
    "arguments",
    "brings_a_main_mjs_of_its_own",
    "child_processes",
    "environment",
    "error_with_properties",
    "exit_code_set",
    "module_by_package_json",
    "node_options",
    "order_of_turns_in_a_module",
    "package_json_is_broken",
    "several_modules",
    "stdin_read_at_once",
    "stdin_by_lines",
    "syntax_error",
    "syntax_error_in_module",
    "top_level_await_never_settles",
    "uncaught_error",
    "unhandled_rejection",
    "where_it_runs",
    "words_that_only_look_like_modules",
    "worker_threads",
)


@pytest.fixture
def agent(start_agent: StartAgent, workspace: Path) -> AgentProcess:
    return start_agent(manifest("node", workspace), env=base_environment(workspace)).greeted()


def program(text: str) -> Case:
    return Case("node", "inline", {"main.js": text.encode()}, plain="main.js")


@pytest.mark.parametrize("case", SAMPLE)
def test_a_run_is_as_running_the_file(agent: AgentProcess, workspace: Path, case: Case) -> None:
    ours = through_agent(agent, case, last=True)
    assert ours == plainly(case, workspace, base_environment(workspace))


def test_a_script_after_a_module_is_a_script(agent: AgentProcess) -> None:
    assert through_agent(agent, program("import 'node:os'; console.log(typeof module)"))[0] == b"undefined\n"
    assert through_agent(agent, program("console.log(typeof module)"))[0] == b"object\n"


def test_a_program_under_another_name_is_run_as_such(agent: AgentProcess) -> None:
    case = Case(
        "node",
        "inline",
        {"sub/tool.js": b"console.log(process.argv.slice(2), __filename.slice(-11), require.main === module)"},
    )
    ours = through_agent(agent, case, program="sub/tool.js", args=["x"])
    assert ours == (b"[ 'x' ] sub/tool.js true\n", b"", "exit 0")


def test_nothing_of_the_worker_is_left_in_the_process(agent: AgentProcess) -> None:
    text = (
        "const left = Object.keys(process.env).filter((name) => /PETRI|NODE_OPTIONS/.test(name));\n"
        "const commandLine = require('fs').readFileSync('/proc/self/cmdline', 'utf8').split('\\0');\n"
        "console.log(left, Object.keys(require.cache).length, process.argv0, process.title, commandLine[0]);\n"
    )
    assert through_agent(agent, program(text))[0] == b"[] 1 node node node\n"


def test_a_signal_reaches_the_program(agent: AgentProcess) -> None:
    wait = "const wait = setInterval(() => {}, 1000); console.log('ready');"
    handler = "process.on('SIGTERM', (name) => { console.log('handled', name); clearInterval(wait); });"
    handled = program(f"{handler} {wait}")
    assert signalled(agent, handled, signal.SIGTERM) == (b"handled SIGTERM\n", b"", "exit 0")
    assert signalled(agent, program(wait), signal.SIGTERM) == (b"", b"", "signal 15")


def test_the_deadline_ends_a_program_and_its_children(agent: AgentProcess) -> None:
    outcome = overdue(agent, program("require('child_process').execSync('sleep 61.7')"))
    assert (outcome.exit["timed_out"], outcome.signal) == (True, 9)
    assert not [pid for pid in agent.descendants() if b"61.7" in command_line(pid)]
