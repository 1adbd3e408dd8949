"""The table of one run's stages."""

from __future__ import annotations

from petri.timings import stages, table

HEADER = (
    "parse;dur=0.1, queue;dur=0, thaw;dur=0.02, lease;dur=0.3, send;dur=0.05, first-byte;dur=1.2, exit;dur=0.15, "
    "run;dur=1.4, respond;dur=0.2, total;dur=2"
)


def test_every_stage_is_read():
    assert stages(HEADER)["first-byte"] == 1.2
    assert list(stages(HEADER)) == [
        "parse", "queue", "thaw", "lease", "send", "first-byte", "exit", "run", "respond", "total",
    ]  # fmt: skip


def test_parts_stand_under_their_whole_and_bars_are_in_proportion():
    lines = list(table(HEADER))
    assert [line[:13].rstrip() for line in lines] == [
        "parse", "queue", "lease", "  thaw", "run", "  send", "  first-byte", "  exit", "respond", "total",
    ]  # fmt: skip
    bars = {line[:13].strip(): line.count("█") for line in lines}
    assert (bars["total"], bars["run"], bars["queue"]) == (40, 28, 0)
    assert "1.400 ms" in lines[4]


def test_a_header_of_another_version_is_shown_as_it_is():
    assert list(table("quantum;dur=3.5")) == ["quantum          3.500 ms  " + "█" * 40]
    assert not list(table(""))
