import pytest

from benchmarks import machine
from benchmarks.machine import Calm


def test_calm_is_neither_busy_nor_slow_to_touch_memory() -> None:
    assert Calm(busy=0.02, cold_page_us=0.1).is_calm
    assert not Calm(busy=0.5, cold_page_us=0.1).is_calm
    assert not Calm(busy=0.02, cold_page_us=40.0).is_calm


def test_a_calm_moment_between_others_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [Calm(0.0, 0.1), Calm(0.9, 0.1), Calm(0.0, 0.1), Calm(0.0, 0.1), Calm(0.0, 0.2)]
    coming = iter(looks)
    monkeypatch.setattr(Calm, "now", classmethod(lambda cls, waited_s: next(coming)))
    assert machine.wait_for_calm(1000.0) is looks[-1]


def test_who_does_not_want_to_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Calm(0.9, 40.0)
    monkeypatch.setattr(Calm, "now", classmethod(lambda cls, waited_s: busy))
    assert machine.wait_for_calm(-1.0) is busy


def test_touching_a_page_takes_some_time_and_less_than_a_disk() -> None:
    assert 0 < machine.cold_page_us(0.01) < 10_000
