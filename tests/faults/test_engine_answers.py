"""An engine that is late, says no, or loses its answers: each call of a sandbox's life in turn, by the proxy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.docker.conftest import eventually
from tests.faults.engine_proxy import Fault
from tests.faults.site import BUSY, WARM, Site, assert_promise_one

#: Each done to two calls in a row while callers go on: refused in three ways, late, and cut off before and after.
FAULTS = (
    Fault(status=500),
    Fault(status=409),
    Fault(status=404),
    Fault(delay_s=0.5),
    Fault(drop=True),
    Fault(drop=True, after=True),
)


@pytest.mark.parametrize("call", ["create", "attach", "start", "remove"])
def test_whatever_the_engine_does_to_a_call_callers_are_answered_and_nothing_is_left(site: Site, call: str):
    with site.under_load() as answers:
        for fault in FAULTS:
            with site.proxy.doing(**{call: replace(fault, times=2)}):
                eventually(lambda: site.proxy.used[call] == 2, f"two calls met with {fault}")
            seen = len(answers)
            eventually(lambda: len(answers) > seen + BUSY, "answers")  # noqa: B023 - called at once
    assert_promise_one(answers)
    assert sum(answer.status == 200 for answer in answers) > len(answers) / 2


@pytest.mark.parametrize("call", ["create", "start", "remove"])
def test_a_call_that_never_ends_is_given_up_and_what_it_made_is_removed(site: Site, call: str):
    with site.proxy.doing(**{call: Fault(hang=True, after=True, times=2)}):
        with site.under_load() as answers:
            eventually(lambda: site.proxy.used[call] == 2, "two calls hang")
            eventually(lambda: len(answers) > WARM + BUSY, "answers")
    assert_promise_one(answers)


def test_boots_that_go_on_failing_open_the_circuit_and_the_callers_are_refused_at_once(site: Site):
    with site.proxy.doing(create=Fault(status=500)):
        eventually(lambda: site.ask().status != 200, "nothing is left")
        eventually(lambda: "boots failed in a row" in site.readiness()[1], "the circuit is open")
        assert site.readiness()[0] == 503
        refused = site.ask()
        assert (refused.status, refused.code, refused.body["retryable"]) == (503, "pool_unavailable", True)


def test_what_the_engine_will_not_remove_is_quarantined_shown_and_in_nobodys_way(site: Site):
    with site.proxy.doing(remove=Fault(status=500)):
        assert site.ask().status == 200
        eventually(lambda: site.pool["quarantined"] == 1, "quarantined", 10)
        with site.client() as client:
            assert 'petri_quarantined_sandboxes{template="python"} 1.0' in client.get("/metrics").text
        shown = site.command("ps").stdout.splitlines()
        assert dict(zip(shown[0].split(), shown[1].split(), strict=False))["QUARANTINED"] == "1"
        eventually(lambda: site.pool["ready"] == WARM, "the pool is full all the same")
        assert site.readiness()[0] == 200
    eventually(lambda: site.pool["quarantined"] == 0, "removed, once the engine does it", 10)


def test_one_container_that_will_not_go_keeps_no_other_from_going(site: Site):
    victim = next(iter(site.containers().values()))
    with site.proxy.doing(remove=Fault(hang=True, path=victim)):
        # Enough runs to use up every sandbox, the victim among them.
        assert {site.ask().status for _ in range(WARM + 2)} == {200}
        eventually(lambda: site.pool["quarantined"] == 1, "quarantined", 10)
        eventually(lambda: len(site.containers()) == WARM + 1, "the others are gone", 10)
        assert victim in site.containers().values()
        eventually(lambda: site.first_process(victim) == 0, "its processes are gone without the engine's help", 10)


def test_a_start_while_listing_fails_sweeps_later(site: Site):
    with site.proxy.doing(list=Fault(status=500)):
        before = set(site.containers())
        site.kill_hard("pool")
        site.resume("pool")
        eventually(lambda: site.pool["ready"] == WARM, "full, although nothing was swept")
        assert before <= set(site.containers())
    site.kill("pool", 15)
