"""An engine that is late, says no, or loses its answers: each call of a sandbox's life in turn, by the proxy."""

from __future__ import annotations

import pytest

from tests.docker.conftest import eventually
from tests.faults.engine_proxy import Fault
from tests.faults.site import BUSY, WARM, Site, assert_promise_one

#: More than a template's boots may fail before its circuit opens.
_MANY = 5


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("create", Fault(status=500)),
        ("create", Fault(status=409)),
        ("create", Fault(status=404)),
        ("create", Fault(drop=True, after=True)),
        ("create", Fault(hang=True)),
        ("create", Fault(delay_s=1.0)),
        ("attach", Fault(status=500)),
        ("attach", Fault(drop=True)),
        ("start", Fault(status=500)),
        ("start", Fault(drop=True, after=True)),
        ("start", Fault(status=404, after=True)),
        ("start", Fault(hang=True, after=True)),
        ("remove", Fault(status=500)),
        ("remove", Fault(status=409)),
        ("remove", Fault(drop=True)),
        ("remove", Fault(status=404, after=True)),
        ("remove", Fault(hang=True, times=_MANY)),
        ("remove", Fault(delay_s=1.0)),
        ("inspect", Fault(status=500)),
        ("list", Fault(status=500)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(
        str(part) for part in (value.status or "", "drop" * value.drop, "hang" * value.hang,
        f"late{value.delay_s:g}" * bool(value.delay_s), "after" * value.after) if part
    ),
)  # fmt: skip
def test_whatever_the_engine_does_to_a_call_callers_are_answered_and_nothing_is_left(
    site: Site, call: str, fault: Fault
):
    with site.proxy.doing(**{call: fault}):
        with site.under_load() as answers:
            # More runs than there were sandboxes, unless there are no new ones: then refusals.
            eventually(lambda: len(answers) >= WARM + BUSY, "answers")
    assert_promise_one(answers)
    assert sum(answer.status == 200 for answer in answers) >= WARM - 1, "what was ready was not leased"


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
