"""The pause of live messages after connections that may have ended over them."""

from __future__ import annotations

from edgeaudio.sinks.mqtt.live_pause import LivePause


def test_live_messages_pause_for_longer_each_time() -> None:
    pause, now = LivePause(), 1000.0
    assert pause.is_over(now)
    pause.sent(now)
    pause.connection_ended(now)
    assert pause.is_over(now)  # it may have been by chance
    for pause_s in (10.0, 20.0, 40.0):
        pause.sent(now)
        pause.connection_ended(now + 1.0)
        assert not pause.is_over(now + pause_s)
        now += 1.0 + pause_s
        assert pause.is_over(now)
    # a minute of sending clears them
    pause.sent(now + 60.0)
    pause.connection_ended(now + 61.0)
    assert pause.is_over(now + 61.0)


def test_a_connection_that_ends_later_did_not_end_over_them() -> None:
    pause = LivePause()
    pause.connection_ended(1000.0)
    assert pause.is_over(1000.0)
    pause.sent(1000.0)
    pause.connection_ended(1002.0)
    assert pause.is_over(1002.0)
