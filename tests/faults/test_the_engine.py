"""dockerd, containerd and shims: killed, stopped for a while, started again."""

from __future__ import annotations

import os
import signal
import time

from tests.docker.conftest import eventually
from tests.faults.site import ANSWERED_S, BUSY, Site, assert_lost_while_running, assert_promise_one

#: How long a test keeps something stopped. Longer than a caller waits and a boot may take; what the pool does in the
#: next 27 s of a real half-minute is more of the same.
HUNG_S = 3.5


def test_dockerd_killed_under_load_costs_runs_and_no_more(site: Site):
    with site.under_load() as answers:
        eventually(lambda: len(answers) > BUSY, "load")
        site.second.kill("dockerd")
        seen = len(answers)
        eventually(lambda: len(answers) > seen + BUSY, "callers are answered while there is no engine")
        site.second.start("dockerd")
        eventually(lambda: answers[-1].status == 200, "runs again", 20)
    assert_promise_one(answers)


def test_runs_under_way_when_dockerd_is_killed_are_lost_by_us_at_once(site: Site):
    began = time.monotonic()
    with site.busy() as answers:
        site.second.kill("dockerd")
    site.second.start("dockerd")
    assert_lost_while_running(answers)
    assert time.monotonic() - began < ANSWERED_S


def test_dockerd_that_hangs_for_a_while_under_load_keeps_nobody_waiting_beyond_the_deadline(site: Site):
    with site.under_load() as answers:
        eventually(lambda: len(answers) > BUSY, "load")
        site.second.signal("dockerd", signal.SIGSTOP)
        try:
            time.sleep(HUNG_S)  # the fault itself
        finally:
            site.second.signal("dockerd", signal.SIGCONT)
        eventually(lambda: answers[-1].status == 200, "runs again", 20)
    assert_promise_one(answers)


def test_a_dead_containerd_ends_readiness_although_pings_are_answered(site: Site):
    site.second.kill("containerd")
    try:
        assert site.second.answers()
        eventually(lambda: site.readiness()[0] == 503, "not ready", 20)
        assert "does not reach its containers" in site.readiness()[1]
        with site.under_load() as answers:
            eventually(lambda: len(answers) > 3 * BUSY, "callers are answered while there is no containerd")
    finally:
        site.second.start("containerd")
    assert_promise_one(answers)


def test_a_containerd_that_hangs_ends_readiness_too_and_is_survived(site: Site):
    site.second.signal("containerd", signal.SIGSTOP)
    try:
        with site.under_load() as answers:
            eventually(lambda: site.readiness()[0] == 503, "not ready", 20)
    finally:
        site.second.signal("containerd", signal.SIGCONT)
    assert_promise_one(answers)


def test_a_sandbox_whose_shim_is_killed_is_lost_if_it_runs_and_replaced_if_it_is_ready(site: Site):
    with site.busy() as answers:
        for shim in site.second.shims().values():
            os.kill(shim, signal.SIGKILL)
    assert_lost_while_running(answers)


def test_a_shim_that_hangs_costs_its_own_run_alone(site: Site):
    shims = site.second.shims()
    for shim in shims.values():
        os.kill(shim, signal.SIGSTOP)
    try:
        with site.under_load() as answers:
            eventually(lambda: any(answer.status == 200 for answer in answers), "new sandboxes run", 20)
    finally:
        for shim in shims.values():
            os.kill(shim, signal.SIGCONT)
    assert_promise_one(answers)
