"""Gateway and pool daemon, killed, ended and started at bad times."""

from __future__ import annotations

import signal
import threading

from tests.docker.conftest import eventually
from tests.faults.site import BUSY, Answer, Site, assert_promise_one


def test_a_gateway_killed_with_runs_under_way_takes_their_sandboxes_with_it(site: Site):
    with site.busy() as answers:
        ready = set(site.containers())
        site.kill_hard("gateway")
    assert [answer.status for answer in answers] == [None] * BUSY
    assert all(answer.seconds < 10 for answer in answers)
    site.resume("gateway")
    site.wait_until_full()
    assert len(ready & set(site.containers())) == site.pool["target"], "those that were ready are so still"


def test_a_pool_daemon_killed_with_runs_under_way_is_replaced_by_one_that_sweeps(site: Site):
    with site.under_load() as answers:
        eventually(lambda: len(answers) > BUSY, "load")
        before = set(site.containers())
        site.kill_hard("pool")
        seen = len(answers)
        eventually(lambda: len(answers) > seen + BUSY, "callers are answered while there is no pool daemon")
        site.resume("pool")
        eventually(lambda: answers[-1].status == 200, "runs again")
        assert not before & set(site.containers())
    assert_promise_one(answers)
    assert {answer.code for answer in answers} >= {"pool_unavailable"}


def test_gateway_and_pool_daemon_killed_together_leave_nothing_to_their_successors(site: Site):
    with site.busy():
        before = set(site.containers())
        site.kill_hard("gateway", "pool")
    site.resume("pool", "gateway")
    site.wait_until_full()
    assert not before & set(site.containers())


def test_asked_to_stop_under_load_it_finishes_what_runs_and_refuses_what_is_new(site: Site):
    running: list[Answer] = []
    callers = [
        threading.Thread(target=lambda: running.append(site.ask("import time; time.sleep(1); print('done')")))
        for _ in range(BUSY)
    ]
    for caller in callers:
        caller.start()
    eventually(lambda: site.pool["leased"] == BUSY, "runs under way")
    gateway, pool = site.processes.pop("gateway"), site.processes.pop("pool")
    gateway.send_signal(signal.SIGTERM)
    refused = site.ask()
    assert (refused.status, refused.code, refused.body["retryable"]) == (503, "draining", True)
    for caller in callers:
        caller.join(30)
    assert [(answer.status, answer.body.get("stdout")) for answer in running] == [(200, "done\n")] * BUSY
    assert gateway.wait(10) == 0
    pool.send_signal(signal.SIGTERM)
    assert pool.wait(20) == 0
    assert not site.containers()
    eventually(lambda: not site.second.shims() or site.second.dockerd_was_killed, "every shim has ended", 10)
    eventually(lambda: not site.second.cgroups(), "every cgroup is gone", 10)


def test_a_pool_daemon_that_starts_before_its_engine_waits_for_it(site: Site):
    site.kill_hard("pool")
    site.second.kill("dockerd")
    site.start("pool")
    answer = site.ask()
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "pool_unavailable", True)
    site.second.start("dockerd")
    site.wait_until_full()
