"""For how long it is relied on what the broker offered."""

from __future__ import annotations

from edgeaudio.sinks.mqtt.events import Capabilities
from edgeaudio.sinks.mqtt.known_capabilities import KNOWN_S, KnownCapabilities

ALL = Capabilities()
OLDER = Capabilities(protocol="3.1.1")


def test_what_the_broker_lacks_is_asked_of_it_again_after_an_hour() -> None:
    known = KnownCapabilities()
    assert known.current(0.0) is None
    for now in (0.0, 1000.0, 3000.0):  # connections in which it still lacks it
        known.learn(OLDER, now)
        known.confirm(now + 1.0)
    assert KNOWN_S == 3600.0
    assert known.current(3599.0) == OLDER
    assert known.current(3600.0) is None
    assert known.latest == OLDER


def test_a_broker_that_offers_everything_is_known_for_an_hour_after_its_last_connection() -> None:
    known = KnownCapabilities()
    known.learn(ALL, 0.0)
    known.confirm(10_000.0)
    assert known.current(13_599.0) == ALL
    assert known.current(13_600.0) is None


def test_a_broker_that_offers_something_else_than_before_is_known_anew() -> None:
    known = KnownCapabilities()
    known.learn(OLDER, 0.0)
    known.learn(ALL, 3000.0)
    assert known.current(6599.0) == ALL
