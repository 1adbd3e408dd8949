"""Where an attack is made: a sandbox in a Petri of the tests' own, a neighbour at work, nothing that may be left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.attacks.attack import Attack
from tests.attacks.neighbour import AtWork, Neighbour
from tests.attacks.outcome import Observed
from tests.attacks.remains import Footprint
from tests.docker.conftest import Petri, eventually

#: For a sandbox to be gone with all it had, and its pool to be full again, on a busy machine of two cores.
CLEAN_WITHIN_S = 30.0


@dataclass
class Scene:
    """One attack in one language. `afterwards` functions may use everything here while the sandbox is theirs."""

    petri: Petri
    client: httpx.Client
    language: str
    sandbox: str
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def footprint(self) -> Footprint:
        return Footprint.of(self.petri.engine, self.petri.containers()[self.sandbox])

    def request(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Any other call of the API."""
        return self.client.request(method, path, json=body or None)

    def execute(self, **body: Any) -> dict[str, Any]:
        """One more exec in the attacked sandbox; must be answered with a 200."""
        answer = self.client.post(f"/v1/sandboxes/{self.sandbox}/exec", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass(frozen=True)
class Result:
    """What one attack in one language came to."""

    observed: Observed
    seconds: float
    neighbour_runs: int
    neighbour_slowest_s: float


class Stage:
    """A Petri, a client, a neighbour in each language, and the footprints of the sandboxes that wait in the pools."""

    def __init__(self, petri: Petri, client: httpx.Client) -> None:
        self.petri = petri
        self._client = client
        self._neighbours: dict[str, Neighbour] = {}
        self._footprints: dict[str, Footprint] = {}

    def act(self, attack: Attack, language: str) -> Result:
        """Make the attack. Asserts all but the outcome: the neighbour's work, a clean host, and a full pool."""
        neighbour = self._neighbour(language)
        self._wait_until_full(language)
        self._take_footprints()
        ran = neighbour.runs
        with AtWork(neighbour):
            started = time.monotonic()
            sandbox, observed = self._run(attack, language)
            seconds = time.monotonic() - started
        assert not neighbour.faults, f"the neighbour suffered: {neighbour.faults.pop()}"
        self._assert_nothing_is_left(sandbox)
        self._wait_until_full(language)
        return Result(observed, seconds, neighbour.runs - ran, neighbour.slowest_s)

    def _run(self, attack: Attack, language: str) -> tuple[str, Observed]:
        body = attack.body(language, self.petri)
        if attack.afterwards is None:
            answer = self._client.post("/v1/run", json={"language": language, **body})
            assert answer.status_code == 200, answer.text
            return answer.json()["sandbox_id"], Observed.of(answer.json())
        made = self._client.post("/v1/sandboxes", json={"language": language})
        assert made.status_code == 201, made.text
        scene = Scene(self.petri, self._client, language, made.json()["id"])
        try:
            scene.answer = scene.execute(**body)
            further = attack.afterwards(scene)
        finally:
            self._client.delete(f"/v1/sandboxes/{scene.sandbox}")
        observed = Observed.of(scene.answer)
        return scene.sandbox, replace(observed, attempts={**observed.attempts, **further})

    def _neighbour(self, language: str) -> Neighbour:
        if language not in self._neighbours:
            self._neighbours[language] = Neighbour.moves_in(self._client, language)
        return self._neighbours[language]

    def _take_footprints(self) -> None:
        """Of every sandbox there is: which one the attack will get is not known before."""
        alive = self.petri.containers()
        new = {sandbox: container for sandbox, container in alive.items() if sandbox not in self._footprints}
        self._footprints = {sandbox: one for sandbox, one in self._footprints.items() if sandbox in alive}
        self._footprints |= {sandbox: Footprint.of(self.petri.engine, container) for sandbox, container in new.items()}

    def _assert_nothing_is_left(self, sandbox: str) -> None:
        footprint, engine = self._footprints[sandbox], self.petri.engine
        left: list[str] = ["not looked"]

        def clean() -> bool:
            left[:] = footprint.left(engine)
            return not left

        try:
            eventually(clean, "the sandbox has left nothing on the host", CLEAN_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {left}") from None

    def _wait_until_full(self, language: str) -> None:
        seen: dict[str, Any] = {}

        def full() -> bool:
            seen.update(self.petri.pools()[language])
            at_rest = {"booting": 0, "doomed": 0, "waiting": 0, "leased": int(language in self._neighbours)}
            return seen["ready"] == seen["target"] and at_rest.items() <= seen.items()

        try:
            eventually(full, "the pool is back at its target and leases nothing else", CLEAN_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None
