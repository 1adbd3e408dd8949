"""The filter of system calls, from inside: every group that is refused is tried, and what people use works.

The attacks are made a second time in a container with the same walls but for the filter. What comes of them there tells
that they are attacks: were they refused by the kernel anyway, they would say nothing of the filter.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from petri import config
from pool.container_config import Owner, container_config
from pool.seccomp import GROUPS
from pool.seccomp.linux import AARCH64, X86_64
from pool.seccomp.rule import Action, Group

HERE = Path(__file__).parent / "seccomp"
ATTACK, TRY_CALLS = (HERE / "attack.py").read_text(), (HERE / "try_calls.py").read_text()
#: Uid of the container without a filter: of no slot of any pool.
UNFILTERED_UID = 209_998
#: Where the kernel looks at a call at all it finds fault with a descriptor, an address or a flag.
NONSENSE = [-1] * 6
#: These it would refuse with the filter's own error.
BETTER_NONSENSE = {"splice": [-1, 0, -1, 0, 1, 0], "tee": [-1, -1, 1, 0], "vmsplice": [-1, 0, 1, 0]}
#: The engine's libseccomp knows no name of a number above this if it is an old one. They are then answered ENOSYS.
KNOWN_TO_ALL = 439

ALL_OR_NOTHING = [group for group in GROUPS if not group.cases]
REFUSED = [group for group in ALL_OR_NOTHING if group.action is not Action.ALLOW]


@pytest.fixture(scope="module")
def numbers() -> dict[str, int]:
    with_client = docker.from_env()
    try:
        return AARCH64 if with_client.info()["Architecture"] == "aarch64" else X86_64
    finally:
        with_client.close()


@pytest.fixture(scope="module")
def unfiltered() -> Iterator[Container]:
    """A container of the python template in which a filter is all that is missing."""
    engine = docker.from_env()
    template = config.load(Path(__file__).parents[2] / "petri.toml").templates[0]
    name = f"unfiltered-{uuid.uuid4().hex[:8]}"
    made = container_config(name, template, "petri/python", UNFILTERED_UID, Owner(name, name, "", ""))
    made |= {"Entrypoint": ["sleep", "infinity"], "Cmd": [], "Labels": {"petri.test": name}}
    made["HostConfig"] |= {"SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"]}
    container = engine.api.create_container_from_config(made, name)["Id"]
    try:
        engine.api.start(container)
        yield engine.containers.get(container)
    finally:
        engine.api.remove_container(container, force=True, v=True)
        engine.close()


def without_filter(container: Container, program: str, argument: str) -> dict:
    code, output = container.exec_run(["python3", "-c", program, argument])
    assert code == 0, output
    return json.loads(output)


def with_filter(live, program: str, argument: str) -> dict:
    answer = live.run("python", program, args=[argument])
    assert answer["status"] == "succeeded", answer
    return json.loads(answer["stdout"])


@pytest.fixture(scope="module")
def refused_calls(numbers) -> str:
    calls = {call for group in REFUSED for call in group.calls}
    return json.dumps(
        {call: [numbers[call], BETTER_NONSENSE.get(call, NONSENSE)] for call in sorted(calls & numbers.keys())}
    )


@pytest.fixture(scope="module")
def answers(live, refused_calls) -> dict[str, str]:
    return with_filter(live, TRY_CALLS, refused_calls)


@pytest.fixture(scope="module")
def answers_without_filter(unfiltered, refused_calls) -> dict[str, str]:
    return without_filter(unfiltered, TRY_CALLS, refused_calls)


@pytest.mark.parametrize("group", REFUSED, ids=lambda group: group.name)
def test_each_call_that_is_refused_gets_its_error(answers, answers_without_filter, numbers, group: Group):
    calls = answers.keys() & set(group.calls)
    young = {call for call in calls if numbers[call] > KNOWN_TO_ALL}
    assert {answers[call] for call in young} <= {group.action.value, "ENOSYS"}
    assert {call: answers[call] for call in calls - young} == dict.fromkeys(calls - young, group.action.value)
    assert any(answers_without_filter[call] != answers[call] for call in calls)


def test_a_call_that_nobody_knows_yet_is_not_implemented(live):
    unknown = json.dumps({str(number): [number, NONSENSE] for number in (600, 1000)})
    assert set(with_filter(live, TRY_CALLS, unknown).values()) == {"ENOSYS"}


@pytest.fixture(scope="module")
def attack(live, numbers) -> dict:
    return with_filter(live, ATTACK, json.dumps(numbers))


@pytest.fixture(scope="module")
def attack_without_filter(unfiltered, numbers, answers_without_filter) -> dict:
    # After the calls: it leaves the container in no state for anything else.
    return without_filter(unfiltered, ATTACK, json.dumps(numbers))


def test_there_are_sockets_of_four_families_and_their_plain_protocols(attack, attack_without_filter):
    unix = [[1, kind, 0] for kind in (1, 2, 3, 5)]
    internet = [
        [family, kind, protocol] for family in (2, 10) for kind, own in ((1, 6), (2, 17)) for protocol in (0, own)
    ]
    netlink = [[16, 2, 0], [16, 3, 0]]
    assert attack["sockets"] == unix + internet + netlink
    assert len(attack_without_filter["sockets"]) > len(attack["sockets"])


@pytest.mark.parametrize("victim", ["agent", "core limit"])
def test_what_protects_sandbox_and_host_cannot_be_changed(attack, attack_without_filter, victim):
    assert set(attack[victim].values()) == {"EPERM"}
    assert set(attack_without_filter[victim].values()) == {"ok"}


def test_there_are_no_new_namespaces(attack, attack_without_filter):
    refused = {"clone": "EPERM", "setns": "EPERM", "unshare": "exit 1", "unshare, the command": 1}
    assert attack["namespaces"] == refused
    assert not refused.items() <= attack_without_filter["namespaces"].items()


def test_there_are_no_devices(attack, attack_without_filter):
    assert (attack["overlay's own device"], attack_without_filter["overlay's own device"]) == ("EPERM", "ok")


def test_the_filter_cannot_be_got_round_as_a_32_bit_program(attack, attack_without_filter):
    if attack_without_filter.get("32-bit") != {"int 0x80": "exit 0", "executable": "exit 0"}:
        pytest.skip("this machine has no 32-bit programs")
    assert attack["32-bit"] == {"int 0x80": "SIGSYS", "executable": "SIGSYS"}
    assert attack["x32"] in ("SIGSYS", "exit 1")


@pytest.mark.parametrize(
    ("language", "program"), [("python", "everyday.py"), ("node", "everyday.cjs"), ("go", "everyday.go")]
)
def test_what_people_use_works(live, language, program):
    answer = live.run(language, (HERE / program).read_text(), timeout_s=100)
    assert (answer["stdout"], answer["exit_code"]) == ("failed:\n", 0), answer["stderr"]
