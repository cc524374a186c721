"""RTSP modes of a camera: what refusals and stalls change, what they do not, and what is stored."""

import itertools
from datetime import UTC, datetime, timedelta

from edgeaudio.capture.rtsp_setup import EARLY_S, EARLY_STALLS, FORGOTTEN_AFTER, RtspMode, RtspSetup

TODAY = datetime(2026, 11, 28, tzinfo=UTC)
ADDRESS = "rtsp://porch.local/stream with spaces"


def stall(setup: RtspSetup, heard_s: float = 5.0, times: int = 1) -> None:
    for _ in range(times):
        setup.heard()
        setup.ended(heard_s, stalled=True)


def test_the_settings_hold() -> None:
    assert RtspSetup().mode == RtspMode("audio", "tcp")
    assert RtspSetup("all", "udp").mode == RtspMode("all", "udp")
    fixed = RtspSetup("audio", "tcp", recalled=RtspMode("all", "udp"))
    assert fixed.mode == RtspMode("audio", "tcp")
    stall(fixed, times=10)
    fixed.toggle_audio_only()
    assert fixed.mode == RtspMode("audio", "tcp")
    assert fixed.others(transport_refused=True) == []
    assert fixed.learned is None


def test_a_refusal_leads_to_the_other_modes_and_what_is_accepted_is_learned() -> None:
    setup = RtspSetup()
    assert setup.others(transport_refused=False) == [RtspMode("all", "tcp")]
    assert setup.others(transport_refused=True) == [RtspMode("audio", "udp"), RtspMode("all", "tcp")]
    setup.accepted(RtspMode("all", "tcp"))
    assert setup.mode == setup.learned == RtspMode("all", "tcp")
    assert setup.others(transport_refused=False) == []


def test_early_stalls_with_the_sound_alone_are_learned_from() -> None:
    setup = RtspSetup()
    stall(setup, times=EARLY_STALLS - 1)
    assert setup.mode == RtspMode("audio")
    stall(setup)
    assert setup.mode == setup.learned == RtspMode("all")
    stall(setup, EARLY_S + 1)
    stall(setup, times=1)
    assert setup.mode == RtspMode("all")


def test_late_stalls_and_ends_of_other_kinds_teach_nothing() -> None:
    setup = RtspSetup()
    for _ in range(10):
        stall(setup)
        setup.ended(EARLY_S, stalled=True)
        setup.ended(3.0, stalled=False)
    assert (setup.mode, setup.learned) == (RtspMode("audio"), None)


def test_a_camera_that_stalls_either_way_is_left_alone_ever_longer() -> None:
    setup = RtspSetup()
    modes = []
    for _ in range(100):
        modes.append(setup.mode.media)
        stall(setup)
    changes = sum(before != after for before, after in itertools.pairwise(modes))
    assert changes <= 10
    assert modes.count("all") <= 10


def test_a_mute_camera_is_asked_the_other_way_and_that_counts_once_it_is_evidence() -> None:
    setup = RtspSetup()
    setup.toggle_audio_only()
    assert setup.mode == RtspMode("all")
    setup.heard()
    assert setup.learned == RtspMode("all")
    setup.ended(100.0, stalled=True)
    setup.toggle_audio_only()  # it is away
    assert setup.mode == RtspMode("all")


def test_a_camera_that_was_away_teaches_nothing() -> None:
    for silences in range(2, 8):
        setup = RtspSetup()
        for _ in range(silences):
            setup.toggle_audio_only()
        setup.heard()
        setup.ended(100.0, stalled=False)
        assert (setup.mode, setup.learned) == (RtspMode("audio"), None)


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
