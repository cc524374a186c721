"""Holes, jitter and resets of timestamps, and the tie to the clock, without any network."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.capture.timeline import MAX_FILL_S, Placement, Timeline

RATE = 16000
FRAME = 320
FRAME_S = FRAME / RATE


def run(pts: Iterable[float | None], *, live: bool = True, lossy: bool = True, lag_s: float = 0.0) -> list[Placement]:
    """Frames of 20 ms with these timestamps, arriving on time (later by `lag_s`)."""
    timeline = Timeline(live=live, lossy=lossy)
    return [timeline.place(p, FRAME, RATE, 100 + (k + 1) * FRAME_S + lag_s) for k, p in enumerate(pts)]


def steady(count: int, start: float = 0.0) -> list[float]:
    return [start + k * FRAME_S for k in range(count)]


def epochs(places: list[Placement]) -> int:
    return sum(place.new_epoch for place in places)


def fills(places: list[Placement]) -> int:
    return sum(place.fill for place in places)


def test_a_flawless_stream_is_one_epoch_on_the_clock() -> None:
    places = run(steady(500))
    assert epochs(places) == 1
    assert fills(places) == 0
    assert [place.begin_s for place in places] == pytest.approx([100 + k * FRAME_S for k in range(500)])


def test_without_timestamps_all_is_taken_as_it_comes() -> None:
    places = run([None] * 100)
    assert epochs(places) == 1
    assert fills(places) == 0


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_lost_packets_are_filled_with_their_length(lost: int) -> None:
    places = run([*steady(50), *steady(50, (50 + lost) * FRAME_S)])
    assert epochs(places) == 1
    # what timestamps may drift by within a second is not made up for
    assert fills(places) == pytest.approx(lost * FRAME, abs=RATE * 0.002)
    assert places[50].fill > 0


def test_a_long_hole_begins_an_epoch() -> None:
    places = run([*steady(50), *steady(50, 50 * FRAME_S + MAX_FILL_S + 0.05)])
    assert [k for k, place in enumerate(places) if place.new_epoch] == [0, 50]
    assert fills(places) == 0


def test_a_jump_back_is_a_restart() -> None:
    places = run([*steady(50), *steady(50)])
    assert [k for k, place in enumerate(places) if place.new_epoch] == [0, 50]


def test_the_first_rtcp_report_moves_all_timestamps_once() -> None:
    places = run([*steady(50), *steady(200, 3e6)])
    assert epochs(places) == 2
    assert fills(places) == 0


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_timestamps_splits_nothing(seed: int) -> None:
    generator = random.Random(seed)
    places = run([t + generator.uniform(-0.015, 0.015) for t in steady(3000)])
    assert epochs(places) == 1
    # a minute of jitter of one and a half frames peak to peak costs less than a tenth of a second
    assert fills(places) < 0.1 * RATE


@given(st.integers(0, 7))
def test_rounding_to_milliseconds_is_not_a_hole(shift: int) -> None:
    timeline = Timeline(live=True, lossy=True)
    # AAC in RTMP: 1024 samples at 44100 Hz, in whole milliseconds
    for k in range(2000):
        pts = (int(1000 * k * 1024 / 44100) + shift) / 1000
        place = timeline.place(pts, 1024, 44100, 5 + k * 1024 / 44100)
        assert place.fill == 0
        assert place.new_epoch == (k == 0)


@pytest.mark.integration  # it takes seconds
@pytest.mark.parametrize("ppm", [-300, -50, 50, 300])
def test_clocks_that_drift_apart_are_followed(ppm: float) -> None:
    factor = 1 + ppm / 1e6
    assert fills(run([t * factor for t in steady(30_000)])) == 0

    timeline = Timeline(live=True, lossy=True)
    for k in range(30_000):  # ten minutes, of a sender whose samples come too slowly or too fast
        arrival_s = 100 + (k + 1) * FRAME_S * factor
        place = timeline.place(k * FRAME_S, FRAME, RATE, arrival_s)
        assert place.new_epoch == (k == 0)
        assert place.begin_s == pytest.approx(arrival_s - FRAME_S, abs=0.02)


def test_timestamps_of_a_wrong_clock_rate_are_given_up() -> None:
    places = run([2 * t for t in steady(1000)])
    assert sum(place.fill for place in places[400:]) == 0
    assert epochs(places[400:]) == 0


def test_slow_timestamps_do_no_harm() -> None:
    places = run([t / 2 for t in steady(1000)])
    assert epochs(places) == 1
    assert fills(places) == 0


def test_sound_that_stays_late_begins_an_epoch_at_its_arrival() -> None:
    timeline = Timeline(live=True, lossy=True)
    places = []
    for k in range(2000):
        # three seconds are lost at the sender, whose timestamps count samples and do not tell
        away_s = 3.0 if k >= 500 else 0.0
        places.append(timeline.place(k * FRAME_S, FRAME, RATE, 100 + (k + 1) * FRAME_S + away_s))
    assert epochs(places) == 2
    assert places[-1].begin_s == pytest.approx(103 + 1999 * FRAME_S, abs=0.05)


def test_a_burst_at_the_start_lies_in_the_past() -> None:
    timeline = Timeline(live=True, lossy=True)
    burst = 100
    timeline.begin(50 - burst * FRAME_S)
    times = [timeline.place(k * FRAME_S, FRAME, RATE, 50.0).begin_s for k in range(burst)]
    assert times == pytest.approx([50 + (k - burst) * FRAME_S for k in range(burst)])


@given(st.lists(st.floats(-5, 5), max_size=60), st.booleans(), st.booleans())
def test_whatever_the_timestamps_time_never_turns_back(steps: list[float], live: bool, lossy: bool) -> None:
    timeline = Timeline(live=live, lossy=lossy)
    pts, before = 0.0, float("-inf")
    for k, step in enumerate(steps):
        pts += step
        place = timeline.place(pts, FRAME, RATE, 10 + k * FRAME_S)
        assert place.begin_s >= before
        assert 0 <= place.fill <= MAX_FILL_S * RATE
        before = place.begin_s


def test_media_time_skips_holes_and_ignores_the_clock() -> None:
    places = run([*steady(50, 7.0), *steady(50, 10.0)], live=False, lossy=False)
    assert epochs(places) == 2
    assert places[0].begin_s == 0
    assert places[50].begin_s == pytest.approx(3.0)


def test_inaccurate_timestamps_of_recordings_fill_nothing() -> None:
    places = run([*steady(50), *steady(50, 50 * FRAME_S + 0.1)], live=False, lossy=False)
    assert epochs(places) == 1
    assert fills(places) == 0


@pytest.mark.parametrize("leap_s", [1e7, 1e12, 9e18, -9e18])
@pytest.mark.parametrize("live", [True, False])
def test_a_timestamp_of_another_age_moves_no_time(leap_s: float, live: bool) -> None:
    places = run([*steady(50), *steady(50, leap_s)], live=live)
    assert places[-1].begin_s == pytest.approx(places[0].begin_s + 99 * FRAME_S, abs=0.001)


@given(st.lists(st.floats(-1e19, 1e19) | st.none(), max_size=60), st.booleans())
def test_whatever_timestamps_say_times_go_on_and_stay_near(pts: list[float | None], live: bool) -> None:
    begins = [place.begin_s for place in run(pts, live=live)]
    assert begins == sorted(begins)
    if live:
        assert all(begin <= 100 + (k + 1) * FRAME_S for k, begin in enumerate(begins))


def arrive(frames: Iterable[tuple[float | None, float]], *, reliable: bool, after_quiet: bool) -> list[Placement]:
    """Frames of 20 ms with their timestamps and arrivals."""
    timeline = Timeline(live=True, lossy=True, reliable=reliable)
    return [timeline.place(pts, FRAME, RATE, 100 + at, after_quiet=lambda: after_quiet) for pts, at in frames]


@pytest.mark.parametrize("pause_s", [0.3, 2.0, 40.0])
@pytest.mark.parametrize(("reliable", "after_quiet"), [(True, False), (True, True), (False, True)])
def test_a_hole_in_which_nothing_came_is_a_pause_of_the_sender(
    pause_s: float, reliable: bool, after_quiet: bool
) -> None:
    times = [*steady(50), *steady(50, 1.0 + pause_s)]
    places = arrive([(t, t + FRAME_S) for t in times], reliable=reliable, after_quiet=after_quiet)
    assert epochs(places) == 1
    assert fills(places) == pytest.approx(pause_s * RATE, abs=RATE * 0.002)
    assert places[50].quiet
    assert places[51].begin_s == pytest.approx(100 + 1.0 + pause_s + FRAME_S, abs=0.01)


def test_a_hole_of_an_unreliable_transport_after_loud_sound_is_a_loss() -> None:
    places = arrive([(t, t + FRAME_S) for t in [*steady(50), *steady(50, 3.0)]], reliable=False, after_quiet=False)
    assert epochs(places) == 2


def test_a_hole_in_which_something_came_that_is_no_sound_is_a_loss() -> None:
    timeline = Timeline(live=True, lossy=True)
    for t in steady(50):
        timeline.place(t, FRAME, RATE, 100 + t + FRAME_S, after_quiet=lambda: True)
    place = timeline.place(3.0, FRAME, RATE, 103 + FRAME_S, after_quiet=lambda: True, after_damage=True)
    assert (place.new_epoch, place.fill) == (True, 0)


def test_a_segment_that_could_not_be_had_is_a_loss() -> None:
    timeline = Timeline(live=True, lossy=False, may_pause=False)
    places = [
        timeline.place(t, FRAME, RATE, 100 + t + FRAME_S, after_quiet=lambda: True)
        for t in [*steady(50), *steady(50, 5)]
    ]
    assert epochs(places) == 2
    assert fills(places) == 0
    assert places[50].begin_s == pytest.approx(105, abs=0.01)


def test_sound_that_comes_in_pieces_keeps_its_time_over_a_hole() -> None:
    timeline = Timeline(live=True, lossy=False, may_pause=False)
    times = [*steady(100), *steady(100, 6.0)]  # two seconds each, all of whose frames come at the end of them
    places = [timeline.place(t, FRAME, RATE, 102.0 if t < 2 else 108.0) for t in times]
    assert [place.begin_s for place in places[100:]] == pytest.approx([106 + k * FRAME_S for k in range(100)], abs=0.02)


def test_a_hole_that_came_without_a_wait_is_no_pause() -> None:
    frames = [(t, t + FRAME_S) for t in steady(50)] + [(t, t - 2.0 + FRAME_S) for t in steady(50, 3.0)]
    assert epochs(arrive(frames, reliable=True, after_quiet=True)) == 2


@pytest.mark.parametrize("stand", [True, False])
def test_the_silence_of_a_pause_is_told_while_it_lasts_and_made_up_at_its_end(stand: bool) -> None:
    timeline = Timeline(live=True, lossy=True)
    filled, begins = 0, []
    for pts in steady(50):
        timeline.place(pts, FRAME, RATE, 100 + pts + FRAME_S)
    for k in range(31):  # three seconds, looked at ten times a second
        if place := timeline.pause(101 + k / 10, RATE):
            assert place.quiet
            begins.append(place.begin_s)
            filled += place.fill
    assert 2.3 * RATE < filled < 2.6 * RATE
    assert begins == sorted(begins)
    assert begins[0] == pytest.approx(101, abs=0.03)
    last = timeline.place(1.0 if stand else 4.0, FRAME, RATE, 104 + FRAME_S)
    assert not last.new_epoch
    assert filled + last.fill == pytest.approx(3 * RATE, abs=0.05 * RATE)
    after = timeline.place((1.0 if stand else 4.0) + FRAME_S, FRAME, RATE, 104 + 2 * FRAME_S)
    assert (after.new_epoch, after.fill) == (False, 0)


@pytest.mark.parametrize("ppm", [-300, 0, 150])
def test_the_drift_of_the_senders_clock_is_followed_and_told(ppm: int) -> None:
    timeline = Timeline(live=True, lossy=True)
    frame_s = 0.5
    for k in range(4 * 600):  # its seconds are shorter than ours where its clock is fast
        arrival_s = 100 + (k + 1) * frame_s / (1 + ppm * 1e-6)
        place = timeline.place(k * frame_s, 8000, RATE, arrival_s)
        assert abs(place.begin_s + frame_s - arrival_s) < 0.02
    assert timeline.drift_ppm == pytest.approx(ppm, abs=30)
