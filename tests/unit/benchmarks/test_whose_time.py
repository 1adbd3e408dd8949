"""Processor time within the windows, by whoever had the processor."""

from __future__ import annotations

from benchmarks.boot_cost import _beside
from benchmarks.whose_time import _SWITCH, _spent


def test_only_what_lies_within_a_window_counts_and_idle_time_is_nobodys():
    slices = [(0.0, 1.5, "pool"), (1.5, 2.5, "idle"), (2.5, 3.5, "gateway"), (9.0, 9.5, "pool"), (9.5, 30.0, "agent")]
    spent = _spent(slices, [(1.0, 3.0), (9.25, 10.0)])
    assert spent == {"pool": 0.5 + 0.25, "gateway": 0.5, "agent": 0.5}


def test_a_switch_is_read_from_what_perf_prints():
    line = (
        " swapper     0 [001]   736.720550522: sched:sched_switch: prev_comm=python prev_pid=27414 prev_prio=120 "
        "prev_state=S ==> next_comm=containerd-shim next_pid=5309 next_prio=120"
    )
    found = _SWITCH.search(line)
    assert found is not None
    assert found.groups() == ("001", "736.720550522", "containerd-shim", "5309")


def test_an_option_is_compared_round_by_round():
    mine, other = [100.0, 300.0, 200.0], [110.0, 310.0, 209.0]
    assert _beside(other, mine, "boot") == {"value": 209.0, "difference": 10.0, "error": 0.5}
    beside = _beside(other, mine, "processors")
    assert (beside["value"], beside["difference"]) == (209.67, 9.67)
