"""One fault at a time, at random: processes killed, stopped and ended, agents killed, containers removed by hand."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import docker
import docker.errors
import httpx

from pool.container_config import LABEL_POOL, LABEL_SANDBOX
from tests.docker.conftest import Petri, eventually

#: For a gateway to serve and a pool to lease again after it was started: requests that fail until then are our doing.
_UP_AGAIN_S = 8.0


class Faults:
    """The faults of one soak. Owns Petri's processes: it ends them, and starts them again."""

    def __init__(self, petri: Petri, seed: int, say: Callable[[str], None]) -> None:
        self._petri = petri
        self._random = random.Random(seed)
        self._say = say
        self._away_until = self._pool_away_until = 0.0
        self.done: Counter[str] = Counter()

    def gateway_was_away(self) -> bool:
        return time.monotonic() < self._away_until

    def pool_was_away(self) -> bool:
        return time.monotonic() < self._pool_away_until

    def inject_until(self, stop: threading.Event, pause_s: tuple[float, float]) -> None:
        kinds: list[tuple[Callable[[], object], int]] = [
            (self.kill_gateway, 2), (self.kill_pool, 2), (self.kill_both, 1), (self.end_gateway, 1), (self.end_pool, 1),
            (self.stop_pool_for_a_while, 2), (self.kill_agent, 5), (self.remove_container, 4),
        ]  # fmt: skip
        while not stop.wait(self._random.uniform(*pause_s)):
            (kind,) = self._random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            name = kind.__name__.replace("_", " ")
            self._say(f"fault: {name}")
            kind()
            self.done[name] += 1

    def kill_gateway(self, number: int = signal.SIGKILL) -> None:
        self._away_until = float("inf")
        self._petri.kill("gateway", number)
        self._petri.start("gateway")
        self._serves_again()

    def kill_pool(self, number: int = signal.SIGKILL) -> None:
        self._pool_away_until = float("inf")
        self._petri.kill("pool", number)
        self._petri.start("pool")
        self._pool_away_until = time.monotonic() + _UP_AGAIN_S

    def kill_both(self) -> None:
        self._away_until = self._pool_away_until = float("inf")
        for service in ("pool", "gateway"):
            self._petri.kill(service)
        self._petri.start("pool", "gateway")
        self._pool_away_until = time.monotonic() + _UP_AGAIN_S
        self._serves_again()

    def end_gateway(self) -> None:
        self.kill_gateway(signal.SIGTERM)

    def end_pool(self) -> None:
        self.kill_pool(signal.SIGTERM)

    def stop_pool_for_a_while(self) -> None:
        process = self._petri.processes["pool"]
        self._pool_away_until = float("inf")
        process.send_signal(signal.SIGSTOP)
        time.sleep(self._random.uniform(0.5, 3.0))
        process.send_signal(signal.SIGCONT)
        self._pool_away_until = time.monotonic() + _UP_AGAIN_S

    def kill_agent(self) -> None:
        if (container := self._any_container()) and (pid := container.attrs["State"]["Pid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove_container(self) -> None:
        if container := self._any_container():
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True)

    def _any_container(self) -> docker.models.containers.Container | None:
        """Of this pool's own, in whatever state; half the time a leased one, if there is any."""
        filters = {"label": f"{LABEL_POOL}={self._petri.name}"}
        found = {one["Labels"][LABEL_SANDBOX]: one["Id"] for one in self._petri.engine.api.containers(filters=filters)}
        if self._random.random() < 0.5 and (leased := self._leased() & found.keys()):
            found = {name: found[name] for name in leased}
        if not found:
            return None
        with contextlib.suppress(docker.errors.NotFound):
            return self._petri.engine.containers.get(found[self._random.choice(sorted(found))])
        return None

    def _leased(self) -> set[str]:
        """Sandboxes that a run or a session has."""
        found = set[str]()
        with contextlib.suppress(httpx.TransportError, KeyError), self._petri.client() as client:
            for template in self._petri.pools():
                answer = client.get(f"/v1/pools/{template}/sandboxes")
                if answer.status_code == 200:
                    found |= {one["id"] for one in answer.json()["sandboxes"] if one["state"] == "leased"}
        return found

    def _serves_again(self) -> None:
        def serves() -> bool:
            try:
                with self._petri.client() as client:
                    return bool(client.get("/healthz").status_code == 200)
            except httpx.TransportError:
                return False

        eventually(serves, "the gateway serves again")
        self._away_until = time.monotonic() + _UP_AGAIN_S
