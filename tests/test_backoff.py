"""The one back-off."""

from __future__ import annotations

from edgeaudio.backoff import Backoff


def test_delays_double_up_to_the_last():
    backoff = Backoff(1.0, 5.0)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_one_delay_may_be_bounded_without_slowing_the_doubling():
    backoff = Backoff(1.0, 30.0)
    assert [backoff.next_s(3.0) for _ in range(4)] == [1.0, 2.0, 3.0, 3.0]
    assert backoff.next_s() == 16.0


def test_the_last_delay_at_once_and_for_ever():
    backoff = Backoff(1.0, 30.0)
    backoff.exhaust()
    assert [backoff.next_s() for _ in range(2000)] == [30.0] * 2000
