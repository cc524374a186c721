"""How a camera is asked: what is learned from refusals and stalls, what is not, and what is remembered."""

import itertools
from datetime import UTC, datetime, timedelta

from edgeaudio.capture.rtsp_setup import EARLY_S, EARLY_STALLS, FORGOTTEN_AFTER, RtspMode, RtspSetup

TODAY = datetime(2026, 11, 28, tzinfo=UTC)
ADDRESS = "rtsp://porch.local/stream with spaces"


def stall(asking: RtspSetup, heard_s: float = 5.0, times: int = 1) -> None:
    for _ in range(times):
        asking.heard()
        asking.ended(heard_s, stalled=True)


def test_the_settings_hold() -> None:
    assert RtspSetup().way == RtspMode("audio", "tcp")
    assert RtspSetup("all", "udp").way == RtspMode("all", "udp")
    fixed = RtspSetup("audio", "tcp", recalled=RtspMode("all", "udp"))
    assert fixed.way == RtspMode("audio", "tcp")
    stall(fixed, times=10)
    fixed.stayed_mute()
    assert fixed.way == RtspMode("audio", "tcp")
    assert fixed.others(transport_refused=True) == []
    assert fixed.learned is None


def test_a_refusal_leads_to_the_other_ways_and_what_is_accepted_is_learned() -> None:
    asking = RtspSetup()
    assert asking.others(transport_refused=False) == [RtspMode("all", "tcp")]
    assert asking.others(transport_refused=True) == [RtspMode("audio", "udp"), RtspMode("all", "tcp")]
    asking.accepted(RtspMode("all", "tcp"))
    assert asking.way == asking.learned == RtspMode("all", "tcp")
    assert asking.others(transport_refused=False) == []


def test_early_stalls_with_the_sound_alone_are_learned_from() -> None:
    asking = RtspSetup()
    stall(asking, times=EARLY_STALLS - 1)
    assert asking.way == RtspMode("audio")
    stall(asking)
    assert asking.way == asking.learned == RtspMode("all")
    stall(asking, EARLY_S + 1)
    stall(asking, times=1)
    assert asking.way == RtspMode("all")


def test_late_stalls_and_ends_of_other_kinds_teach_nothing() -> None:
    asking = RtspSetup()
    for _ in range(10):
        stall(asking)
        asking.ended(EARLY_S, stalled=True)
        asking.ended(3.0, stalled=False)
    assert (asking.way, asking.learned) == (RtspMode("audio"), None)


def test_a_camera_that_stalls_either_way_is_left_alone_ever_longer() -> None:
    asking = RtspSetup()
    ways = []
    for _ in range(100):
        ways.append(asking.way.media)
        stall(asking)
    changes = sum(before != after for before, after in itertools.pairwise(ways))
    assert changes <= 10
    assert ways.count("all") <= 10


def test_a_mute_camera_is_asked_the_other_way_and_that_counts_once_it_is_evidence() -> None:
    asking = RtspSetup()
    asking.stayed_mute()
    assert asking.way == RtspMode("all")
    asking.heard()
    assert asking.learned == RtspMode("all")
    asking.ended(100.0, stalled=True)
    asking.stayed_mute()  # it is away
    assert asking.way == RtspMode("all")


def test_a_camera_that_was_away_teaches_nothing() -> None:
    for silences in range(2, 8):
        asking = RtspSetup()
        for _ in range(silences):
            asking.stayed_mute()
        asking.heard()
        asking.ended(100.0, stalled=False)
        assert (asking.way, asking.learned) == (RtspMode("audio"), None)


def test_what_was_learned_is_remembered_for_that_camera_and_for_a_time() -> None:
    line = RtspMode("all", "udp").remembered(ADDRESS, TODAY)
    assert RtspMode.recalled(line, ADDRESS, TODAY) == RtspMode("all", "udp")
    assert RtspMode.recalled(line, ADDRESS, TODAY - timedelta(days=9999)) == RtspMode(
        "all", "udp"
    )  # a clock that is not set
    assert RtspMode.recalled(line, ADDRESS, TODAY + FORGOTTEN_AFTER + timedelta(days=1)) is None
    assert RtspMode.recalled(line, "rtsp://garden.local/", TODAY) is None
    for damaged in ("", "all", "all udp", "all udp never rtsp://x", "\0"):
        assert RtspMode.recalled(damaged, ADDRESS, TODAY) is None
