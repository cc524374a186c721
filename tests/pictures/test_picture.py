"""Spectrograms: what sounds is where it should be in the pixels, whatever the sound's rate, level, length and gaps."""

from __future__ import annotations

import tracemalloc
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import darkness, opened, plot_of

from edgeaudio.pictures.drawing import Mark
from edgeaudio.pictures.options import PictureError, PictureOptions
from edgeaudio.pictures.picture import Gap, Picture, draw
from edgeaudio.types import Samples

YEARS = datetime(1970, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 (Hypothesis adds the zone)
GREY = PictureOptions(palette="grey", image_format="png", width=480, height=300)


def tone(hz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> Samples:
    time_s = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def with_scale(scale) -> PictureOptions:
    return PictureOptions(palette="grey", image_format="png", width=480, height=300, scale=scale)


def place(hz: float, scale: str, nyquist_hz: float) -> float:
    """Return where a frequency is on the axis, 0 to 1: from the scales' definitions."""
    if scale == "linear":
        return hz / nyquist_hz
    if scale == "mel":
        return float(np.log10(1 + hz / 700) / np.log10(1 + nyquist_hz / 700))
    return float(np.log(hz / 50) / np.log(nyquist_hz / 50))


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_a_tone_is_at_its_frequency(scale: str, rate: int) -> None:
    options = with_scale(scale)
    for share in (0.1, 0.5, 0.9):
        hz = share * rate / 2
        plot = darkness(plot_of(draw(tone(hz, rate), rate, options), options, rate))
        loudest = plot.argmax(axis=0) + 0.5
        # half a row, and half a bin of the spectrum: 32 ms are 31 Hz
        tolerance = 1 + 16 * len(plot) * (place(hz + 1, scale, rate / 2) - place(hz, scale, rate / 2))
        assert np.abs(loudest - place(hz, scale, rate / 2) * len(plot)).max() <= tolerance
        assert (plot.max(axis=0) == 255).all()


@pytest.mark.parametrize("rate", [8000, 48_000, 192_000])
def test_a_chirp_is_a_straight_line_through_the_times(rate: int) -> None:
    seconds = 4
    time_s = np.arange(seconds * rate) / rate
    samples = (0.1 * np.sin(np.pi * (rate / 2) / seconds * time_s**2)).astype(np.float32)  # from 0 Hz to Nyquist
    plot = darkness(plot_of(draw(samples, rate, GREY), GREY, rate))
    columns = np.arange(len(plot[0]) // 20, len(plot[0]) * 19 // 20)
    expected = (columns + 0.5) / len(plot[0]) * len(plot)
    assert np.abs(plot[:, columns].argmax(axis=0) + 0.5 - expected).max() <= 4


def test_a_sound_begins_and_ends_at_its_times() -> None:
    rate = 48_000
    samples = np.zeros(8 * rate, np.float32)
    samples[3 * rate : 5 * rate] = tone(4000, rate, 2)
    plot = darkness(plot_of(draw(samples, rate, GREY), GREY, rate))
    loud = np.flatnonzero(plot.max(axis=0) > 200)
    column_s = 8 / plot.shape[1]
    assert loud[0] * column_s == pytest.approx(3, abs=2 * column_s)
    assert (loud[-1] + 1) * column_s == pytest.approx(5, abs=2 * column_s)


def test_a_sound_of_60_db_less_has_the_same_picture() -> None:
    rate = 16_000
    sound = tone(3000, rate) + np.random.default_rng(1).normal(0, 0.01, rate).astype(np.float32)
    quiet = sound * np.float32(2**-10)  # exactly 60.2 dB less
    plots = [plot_of(draw(samples, rate, GREY), GREY, rate) for samples in (sound, quiet)]
    assert np.array_equal(plots[0], plots[1])
    assert darkness(plots[1]).max() == 255


def test_dc_does_not_hide_a_quiet_sound() -> None:
    rate = 16_000
    plot = darkness(plot_of(draw(tone(3000, rate, amplitude=1e-4) + np.float32(0.5), rate, GREY), GREY, rate))
    assert (plot.argmax(axis=0) == plot.argmax(axis=0)[0]).all()
    assert plot.argmax(axis=0)[0] / len(plot) == pytest.approx(3 / 8, abs=0.01)


def test_gain_brightens_and_range_sets_the_darkest_level() -> None:
    rate = 16_000
    sound = tone(3000, rate, amplitude=0.9) + tone(6000, rate, amplitude=0.9e-5)  # 100 dB less

    def row(hz: float, **options: float) -> int:
        look = PictureOptions(palette="grey", image_format="png", width=480, height=300, **options)  # type: ignore[arg-type]
        plot = darkness(plot_of(draw(sound, rate, look), look, rate))
        at = round(hz / 8000 * len(plot))
        return int(plot[at - 2 : at + 2, 100].max())

    assert row(3000, range_db=80) == 255
    assert row(6000, range_db=80) == 0
    assert row(6000, range_db=120) == pytest.approx(255 * 20 / 120, abs=3)
    assert row(6000, range_db=80, gain_db=40) == pytest.approx(255 * 20 / 80, abs=3)
    assert row(3000, range_db=80, gain_db=-40) == pytest.approx(255 / 2, abs=3)


def test_samples_stay_as_they_are() -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, (8000, 2)).astype(np.float32)
    before = samples.copy()
    samples.flags.writeable = False
    draw(samples, 8000, GREY)
    assert np.array_equal(samples, before)


def test_a_sound_in_one_channel_and_one_that_the_mean_would_cancel_are_seen() -> None:
    rate = 16_000
    sound, silence = tone(3000, rate), np.zeros(rate, np.float32)
    mono = plot_of(draw(sound, rate, GREY), GREY, rate)
    for channels in ([silence, sound], [sound, -sound], [silence, silence, sound]):
        plot = plot_of(draw(np.stack(channels, axis=1), rate, GREY), GREY, rate)
        assert np.abs(plot.astype(int) - mono).max() <= 1


def test_gaps_are_gaps_and_time_goes_on_in_them() -> None:
    rate = 8000
    sound = tone(2000, rate, 3)
    marked = plot_of(draw(sound, rate, GREY, gaps=[Gap(rate, 1.0)]), GREY, rate)
    is_coloured = (np.ptp(marked.astype(int), axis=2) > 0).all(axis=0)  # the picture itself is grey
    columns = np.flatnonzero(is_coloured) / len(is_coloured)
    assert columns[0] == pytest.approx(0.25, abs=0.01)
    assert columns[-1] == pytest.approx(0.5, abs=0.01)
    assert is_coloured.sum() == pytest.approx(len(is_coloured) / 4, abs=2)
    # a tone that goes on has no click at the edges of a gap
    loud = darkness(marked)[:, ~is_coloured] > 100
    assert loud.sum(axis=0).max() <= 20


def test_pieces_and_an_unknown_length_make_nearly_the_same_picture() -> None:
    rate = 16_000
    samples = np.concatenate([tone(hz, rate, 1.7) for hz in (1000, 3000, 7000)])
    whole = darkness(plot_of(draw(samples, rate, GREY), GREY, rate))
    for expected_s, length in ((len(samples) / rate, 1000), (None, 1000), (None, 50_000), (1.0, 777), (60.0, 777)):
        picture = Picture(GREY, expected_s=expected_s)
        for start in range(0, len(samples), length):
            picture.add(samples[start : start + length], rate, start / rate)
        pieces = darkness(plot_of(picture.encoded(), GREY, rate))
        assert picture.duration_s == pytest.approx(5.1)
        for share in (0.1, 0.25, 0.4, 0.6, 0.75, 0.9):
            column = round(share * whole.shape[1])
            assert abs(int(pieces[:, column].argmax()) - int(whole[:, column].argmax())) <= 1


def test_another_format_within_a_picture_is_drawn_by_its_frequencies() -> None:
    picture = Picture(GREY, expected_s=2.0)
    picture.add(tone(3000, 48_000), 48_000, 0.0)
    picture.add(tone(3000, 16_000).reshape(-1, 1).repeat(2, axis=1), 16_000, 1.0)
    plot = darkness(plot_of(picture.encoded(), GREY, 48_000))
    for share in (0.25, 0.75):
        assert plot[:, round(share * plot.shape[1])].argmax() / len(plot) == pytest.approx(3 / 24, abs=0.01)


def peak_bytes(minutes: int) -> int:
    """Return the most memory that a picture of so much sound takes, in pieces of a minute."""
    rate = 1000
    minute = np.random.default_rng(3).normal(0, 1e-3, 60 * rate).astype(np.float32)
    tracemalloc.start()
    try:
        picture = Picture(GREY)
        for index in range(minutes):
            picture.add(minute, rate, 60.0 * index)
        picture.encoded()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_twenty_minutes_take_no_more_memory_than_three() -> None:
    peak_bytes(1)  # what is made once
    assert peak_bytes(20) < 1.1 * peak_bytes(3)


def test_a_beep_of_50_ms_is_seen_in_twenty_minutes() -> None:
    rate = 1000
    picture = Picture(GREY, expected_s=1200.0)
    for index in range(20):
        minute = np.random.default_rng(index).normal(0, 1e-3, 60 * rate).astype(np.float32)
        if index == 15:
            minute[:50] += tone(250, rate, 0.05)
        picture.add(minute, rate, 60.0 * index)
    plot = darkness(plot_of(picture.encoded(), GREY, rate))
    row, column = np.unravel_index(plot.argmax(), plot.shape)
    assert plot[row, column] == 255
    assert row / len(plot) == pytest.approx(0.5, abs=0.03)
    assert column / plot.shape[1] == pytest.approx(15 / 20, abs=0.005)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e38])
def test_broken_samples_leave_the_rest_visible(value: float) -> None:
    rate = 8000
    samples = tone(2000, rate, 2)
    samples[100] = value
    plot = darkness(plot_of(draw(samples, rate, GREY), GREY, rate))
    if np.isfinite(value):
        assert plot[:, 0].max() == 255
    else:
        assert plot[:, -1].argmax() / len(plot) == pytest.approx(0.5, abs=0.01)
        assert (plot.max(axis=0) == 255).all()


@pytest.mark.parametrize("n", [1, 2, 3, 100, 257, 1535, 1536, 1537])
@pytest.mark.parametrize("rate", [1000, 48_000, 1_000_000])
def test_the_shortest_sounds_are_drawn(n: int, rate: int) -> None:
    samples = np.resize(np.array([0.5, -0.5], np.float32), n)
    plot = plot_of(draw(samples, rate, GREY), GREY, rate)
    assert np.ptp(plot.astype(int), axis=2).max() < 10  # no stripes of a gap


def test_nothing_and_digital_silence() -> None:
    with pytest.raises(PictureError, match="no sound"):
        draw(np.empty(0, np.float32), 8000)
    with pytest.raises(PictureError, match="no sound"):
        draw(np.empty((0, 2), np.float32), 8000)
    assert opened(draw(np.zeros(8000, np.float32), 8000)).size == (960, 480)


@pytest.mark.parametrize("rate", [-1, 0, 999, 1_000_001])
def test_a_rate_that_cannot_be_drawn(rate: int) -> None:
    with pytest.raises(PictureError, match="sample rate"):
        draw(np.zeros(100, np.float32), rate)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"width": 1, "height": 1}, {"width": 100_000, "height": 100_000}, {"width": 8192, "height": 8192}),
        *({"range_db": 0.0}, {"range_db": float("nan")}, {"gain_db": 1e9}, {"max_bytes": 0}),
        *({"palette": "jet"}, {"scale": "bark"}, {"image_format": "gif"}),
    ],
)
def test_options_out_of_bounds_are_refused_in_one_line(wrong) -> None:
    with pytest.raises(PictureError) as caught:
        PictureOptions(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("image_format", "name"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
def test_a_limit_of_bytes_lowers_the_quality_and_then_the_size(image_format, name: str) -> None:
    noise = np.random.default_rng(4).normal(0, 0.1, 4000).astype(np.float32)  # takes most bytes

    def drawn(max_bytes: int | None) -> bytes:
        return draw(noise, 8000, PictureOptions(320, 160, image_format=image_format, max_bytes=max_bytes))

    free = drawn(None)
    assert opened(free).format == name
    lower = drawn(len(free) * 4 // 5)
    assert len(lower) <= len(free) * 4 // 5
    assert opened(lower).size == (320, 160)
    small = drawn(len(free) // 8)
    assert len(small) <= len(free) // 8
    width, height = opened(small).size
    assert width < 320
    assert width / height == pytest.approx(2, abs=0.05)
    with pytest.raises(PictureError, match="300 bytes"):
        drawn(300)


@given(
    size=st.tuples(st.integers(64, 700), st.integers(64, 500)),
    n=st.integers(1, 3000),
    rate=st.sampled_from([1000, 8000, 44_100, 192_000]),
    scale=st.sampled_from(["linear", "mel", "log"]),
    palette=st.sampled_from(["magma", "grey"]),
    marks=st.lists(st.builds(Mark, st.text(max_size=50), st.floats(-1, 1), st.none() | st.floats(-1, 1)), max_size=6),
    gaps=st.lists(st.builds(Gap, st.integers(-5, 3000), st.floats(-1, 1e9)), max_size=3),
    begin=st.floats(0, 1e6) | st.datetimes(*YEARS, timezones=st.timezones()),
)
def test_every_picture_has_its_size(size, n, rate, scale, palette, marks, gaps, begin) -> None:
    options = PictureOptions(size[0], size[1], palette, scale)
    file = draw(tone(rate / 5, rate, n / rate), rate, options, marks=marks, gaps=gaps, begin=begin)
    assert opened(file).size == size
