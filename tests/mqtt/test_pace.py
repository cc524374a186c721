"""The rate of messages: no burst after a pause, and slower when the broker discards messages."""

from __future__ import annotations

from collections import deque

from edgeaudio.sinks.mqtt.pace import Pace


def sent_in(pace: Pace, begin: float, seconds: float) -> int:
    """Send as fast as the pace allows."""
    now, count = begin, 0
    while now < begin + seconds:
        wait_s = pace.wait_s(now)
        if wait_s > 0:
            now += wait_s
        else:
            pace.take()
            count += 1
    return count


def test_the_pace_is_kept_after_any_pause() -> None:
    pace = Pace(rate_max_per_s=40.0, burst_max=20)
    assert sent_in(pace, 1000.0, 1e-9) == 8
    assert 39 <= sent_in(pace, 1000.0, 1.0) <= 41
    assert sent_in(pace, 5000.0, 1e-9) == 8


def test_it_begins_slowly_and_reaches_the_maximum() -> None:
    pace = Pace(rate_max_per_s=500.0, burst_max=20)
    first = sent_in(pace, 1000.0, 1.0)
    assert first <= 100
    assert sent_in(pace, 1001.0, 10.0) > 3000
    assert pace.rate_per_s == 500.0


def test_each_connection_begins_slowly_and_keeps_the_ceiling() -> None:
    pace = Pace(rate_max_per_s=500.0, burst_max=20)
    sent_in(pace, 1000.0, 10.0)
    pace.begin()
    assert pace.rate_per_s == 50.0
    assert sent_in(pace, 1020.0, 1e-9) == 10
    pace.lost(1020.0)
    pace.lost(1020.0)
    pace.begin()
    assert pace.rate_per_s == 12.5
    assert sent_in(pace, 1030.0, 60.0) < 12.5 * 61


def test_the_limit_of_a_broker_that_discards_is_found_and_kept() -> None:
    """Any limit: a few losses in ten minutes, and the pace stays within reach of the limit."""
    for limit_per_s in (5, 30, 100, 300):
        pace = Pace(rate_max_per_s=500.0, burst_max=20)
        now, losses, sent = 1000.0, 0, deque[float]()
        end = now + 600.0
        while now < end:
            wait_s = pace.wait_s(now)
            if wait_s > 0:
                now += wait_s
                continue
            pace.take()
            sent.append(now)
            while sent[0] <= now - 1.0:
                sent.popleft()
            if len(sent) > limit_per_s:
                losses += 1
                pace.lost(now)
                sent.clear()
                now += 10.0  # until the loss was noticed
        assert losses <= 6, limit_per_s
        assert pace.rate_per_s >= limit_per_s / 4, limit_per_s


def test_there_is_a_spare_token_only_where_two_may_go() -> None:
    pace = Pace(rate_max_per_s=40.0, burst_max=20)
    sent = 0
    while pace.has_spare(1000.0):
        pace.take()
        sent += 1
    assert sent == 7
    assert pace.wait_s(1000.0) == 0.0
    slow = Pace(rate_max_per_s=9.0, burst_max=20)
    assert slow.wait_s(1000.0) == 0.0
    assert not slow.has_spare(2000.0)
