"""How a camera is asked: what is learned from refusals and stalls, what is not, and what is remembered."""

import itertools
from datetime import UTC, datetime, timedelta

from edgeaudio.capture.rtsp_setup import EARLY_S, EARLY_STALLS, FORGOTTEN_AFTER, Asking, Way

TODAY = datetime(2026, 11, 28, tzinfo=UTC)
ADDRESS = "rtsp://porch.local/stream with spaces"


def stall(asking: Asking, heard_s: float = 5.0, times: int = 1) -> None:
    for _ in range(times):
        asking.heard()
        asking.ended(heard_s, stalled=True)


def test_the_settings_hold() -> None:
    assert Asking().way == Way("audio", "tcp")
    assert Asking("all", "udp").way == Way("all", "udp")
    fixed = Asking("audio", "tcp", recalled=Way("all", "udp"))
    assert fixed.way == Way("audio", "tcp")
    stall(fixed, times=10)
    fixed.stayed_mute()
    assert fixed.way == Way("audio", "tcp")
    assert fixed.others(transport_refused=True) == []
    assert fixed.learned is None


def test_a_refusal_leads_to_the_other_ways_and_what_is_accepted_is_learned() -> None:
    asking = Asking()
    assert asking.others(transport_refused=False) == [Way("all", "tcp")]
    assert asking.others(transport_refused=True) == [Way("audio", "udp"), Way("all", "tcp")]
    asking.accepted(Way("all", "tcp"))
    assert asking.way == asking.learned == Way("all", "tcp")
    assert asking.others(transport_refused=False) == []


def test_early_stalls_with_the_sound_alone_are_learned_from() -> None:
    asking = Asking()
    stall(asking, times=EARLY_STALLS - 1)
    assert asking.way == Way("audio")
    stall(asking)
    assert asking.way == asking.learned == Way("all")
    stall(asking, EARLY_S + 1)
    stall(asking, times=1)
    assert asking.way == Way("all")


def test_late_stalls_and_ends_of_other_kinds_teach_nothing() -> None:
    asking = Asking()
    for _ in range(10):
        stall(asking)
        asking.ended(EARLY_S, stalled=True)
        asking.ended(3.0, stalled=False)
    assert (asking.way, asking.learned) == (Way("audio"), None)


def test_a_camera_that_stalls_either_way_is_left_alone_ever_longer() -> None:
    asking = Asking()
    ways = []
    for _ in range(100):
        ways.append(asking.way.media)
        stall(asking)
    changes = sum(before != after for before, after in itertools.pairwise(ways))
    assert changes <= 10
    assert ways.count("all") <= 10


def test_a_mute_camera_is_asked_the_other_way_and_that_counts_once_it_is_evidence() -> None:
    asking = Asking()
    asking.stayed_mute()
    assert asking.way == Way("all")
    asking.heard()
    assert asking.learned == Way("all")
    asking.ended(100.0, stalled=True)
    asking.stayed_mute()  # it is away
    assert asking.way == Way("all")


def test_a_camera_that_was_away_teaches_nothing() -> None:
    for silences in range(2, 8):
        asking = Asking()
        for _ in range(silences):
            asking.stayed_mute()
        asking.heard()
        asking.ended(100.0, stalled=False)
        assert (asking.way, asking.learned) == (Way("audio"), None)


def test_what_was_learned_is_remembered_for_that_camera_and_for_a_time() -> None:
    line = Way("all", "udp").remembered(ADDRESS, TODAY)
    assert Way.recalled(line, ADDRESS, TODAY) == Way("all", "udp")
    assert Way.recalled(line, ADDRESS, TODAY - timedelta(days=9999)) == Way("all", "udp")  # a clock that is not set
    assert Way.recalled(line, ADDRESS, TODAY + FORGOTTEN_AFTER + timedelta(days=1)) is None
    assert Way.recalled(line, "rtsp://garden.local/", TODAY) is None
    for damaged in ("", "all", "all udp", "all udp never rtsp://x", "\0"):
        assert Way.recalled(damaged, ADDRESS, TODAY) is None
