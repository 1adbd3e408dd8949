"""The load generator against a server that is a function: what it times, and what it makes of a pause."""

import threading
import time
from collections.abc import Callable

from benchmarks.load import Send, Shot, closed_loop, errors, follow, right
from benchmarks.schedule import at_once, every


def answers_at_once() -> Send:
    return lambda: lambda: None


def test_every_request_of_a_schedule_is_sent_once_and_never_early() -> None:
    shots = follow(every(0.002, 40), 4, answers_at_once)
    assert [shot.due for shot in shots] == every(0.002, 40)
    assert all(shot.began >= shot.due - 1e-4 for shot in shots)


def test_a_pause_of_the_server_counts_for_all_that_were_due_meanwhile() -> None:
    paused = iter([True])

    def send() -> Callable[[], None]:
        if next(paused, False):
            time.sleep(0.1)
        return lambda: None

    shots = follow(every(0.01, 6), 1, lambda: send)
    assert sum(shot.seconds > 0.05 for shot in shots) == 1  # what a closed loop would tell
    assert sum(shot.seconds_from_due > 0.045 for shot in shots) == 6


def test_a_burst_is_under_way_all_at_one_time() -> None:
    together = threading.Barrier(8, timeout=10)

    def send() -> Callable[[], None]:
        together.wait()
        return lambda: None

    assert errors(follow(at_once(8), 8, lambda: send)) == {}


def test_wrong_answers_are_counted_by_their_words_and_not_among_the_right() -> None:
    numbers = iter(range(10))
    lock = threading.Lock()

    def send() -> Callable[[], None]:
        with lock:
            number = next(numbers)

        def judge() -> None:
            if number % 5 == 0:
                raise ValueError("503")

        return judge

    shots = follow(at_once(10), 2, lambda: send)
    assert errors(shots) == {"ValueError: 503": 2}
    assert len(right(shots)) == 8


def test_judging_an_answer_is_not_timed() -> None:
    shots = follow([0.0], 1, lambda: lambda: lambda: time.sleep(0.1))
    assert shots[0].seconds < 0.05


def test_a_closed_loop_asks_again_when_it_is_answered_until_its_time_is_over() -> None:
    lock = threading.Lock()
    under_way: list[int] = [0]  # after each beginning and each end

    def count(one: int) -> None:
        with lock:
            under_way.append(under_way[-1] + one)

    def send() -> Callable[[], None]:
        count(+1)
        time.sleep(0.005)
        count(-1)
        return lambda: None

    shots = closed_loop(3, 0.2, lambda: send)
    assert all(shot.began < 0.2 for shot in shots)
    assert max(under_way) == 3
    assert len(shots) > 3
    assert right(shots) == shots


def test_from_due_is_never_less_than_from_the_sending() -> None:
    shot = Shot(due=1.0, began=1.5, ended=2.0)
    assert (shot.seconds, shot.seconds_from_due) == (0.5, 1.0)
