"""When a fault that lasts is logged."""

from __future__ import annotations

from edgeaudio.throttled_log import REPEAT_S, LogThrottle


def test_a_fault_is_logged_when_it_is_new_and_every_ten_minutes_while_it_lasts() -> None:
    throttle = LogThrottle()
    due = [now_s for now_s in range(0, 2401, 60) if throttle.is_due("refused", now_s)]
    assert REPEAT_S == 600
    assert due == [0, 600, 1200, 1800, 2400]


def test_each_fault_has_its_own_times() -> None:
    throttle = LogThrottle(repeat_s=10)
    assert throttle.is_due("refused", 0)
    assert throttle.is_due("timeout", 5)
    assert throttle.is_due("refused", 10)
    assert not throttle.is_due("timeout", 10)


def test_a_fault_that_was_forgotten_is_new() -> None:
    throttle = LogThrottle()
    assert throttle.is_due("refused", 0)
    assert throttle.is_due("timeout", 0)
    throttle.keep_only(["timeout"])
    assert throttle.is_due("refused", 1)
    assert not throttle.is_due("timeout", 1)


def test_it_is_known_whether_anything_was_logged() -> None:
    throttle = LogThrottle()
    known = [throttle.has_logged]
    throttle.is_due("refused", 0)
    known.append(throttle.has_logged)
    throttle.keep_only([])
    known.append(throttle.has_logged)
    assert known == [False, True, False]
