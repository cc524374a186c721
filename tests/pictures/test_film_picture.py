"""The pictures of a film: what scrolls is where its time is, in the colours of its level."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeaudio.pictures.column_ring import ColumnRing
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.film_picture import FilmPicture
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.options import PictureError
from edgeaudio.pictures.running_range import RunningRange
from edgeaudio.pictures.scrolling import Columns, ScrollingSpectrogram
from edgeaudio.pictures.ticks import frequency_ticks
from edgeaudio.pictures.yuv import Planes, blank, planes_of, yuv
from edgeaudio.types import Samples

RATE = 16_000
# 480x270: it has text, axes and the scale of levels
LOOK = FilmLook(width=480, height=270, palette="grey", seconds=4.0, range_db=80.0)
ZERO = datetime(2026, 1, 1, 11, 59, 58, 500_000, tzinfo=UTC)
RED = (196, 30, 30)  # the marks of the light theme


def tone(hz: float, length_s: float, amplitude: float = 0.5) -> Samples:
    time_s = np.arange(round(length_s * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)[:, None]


class Drawn:
    """A picture that is fed with sound."""

    def __init__(self, look: FilmLook = LOOK) -> None:
        self.axis = look.axis(RATE)
        self.picture = FilmPicture(look, self.axis, ZERO)
        self.spectrogram = ScrollingSpectrogram(self.axis, self.picture.n_rows, self.picture.column_s)
        self.end_s = 0.0

    def hear(self, samples: Samples, *, piece_s: float = 0.1) -> None:
        size = round(piece_s * RATE)
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            for columns in self.spectrogram.add(piece, RATE, self.end_s, joined=self.end_s > 0):
                self.picture.add(columns)
            self.end_s += len(piece) / RATE

    def lose(self, length_s: float) -> None:
        self.end_s += length_s
        for columns in self.spectrogram.silence(self.end_s):
            self.picture.add(columns)

    def darkness(self, at_s: float) -> NDArray[np.int64]:
        """Return the plot at a time, 0 to 255 of grey, the lowest row first."""
        layout = self.picture.layout
        top = layout.scroll_y + layout.lanes_height
        y = self.picture.frame(at_s).y[top : top + layout.plot_height, layout.scroll_x :][:, : layout.scroll_width]
        return np.rint((235 - y[::-1].astype(np.int64)) * 255 / 219).astype(np.int64)

    def lanes(self, at_s: float) -> NDArray[np.uint8]:
        """Return Y, U, V of what is above the plot, `(height, width, 3)`."""
        layout, planes = self.picture.layout, self.picture.frame(at_s)
        rows, columns = slice(layout.scroll_y, layout.scroll_y + layout.lanes_height), layout.scroll_x
        whole = np.stack([planes.y, *(np.repeat(np.repeat(each, 2, 0), 2, 1) for each in planes[1:])], axis=-1)
        return whole[rows, columns : columns + layout.scroll_width]

    def time_of(self, column: float, at_s: float) -> float:
        """Return the time of a column of the plot in the picture of a time."""
        return at_s - (self.picture.layout.scroll_width - column) * self.picture.column_s


def is_red(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    difference = pixels.astype(int) - yuv(np.array(RED, np.uint8)).astype(int)
    return np.asarray(np.abs(difference).max(axis=-1) <= 2)


# --- colours ---


def test_colours_are_those_of_bt_709_in_its_limited_range() -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    expected = [[16, 128, 128], [235, 128, 128], [63, 102, 240], [173, 42, 26], [32, 240, 118]]
    assert yuv(colours).tolist() == expected


def test_chroma_is_the_mean_of_four_pixels() -> None:
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    planes = planes_of(pixels)
    assert planes.y.tolist() == [[63, 16, 16, 16], [16, 16, 16, 16]]
    assert (planes.u.tolist(), planes.v.tolist()) == ([[122, 128]], [[156, 128]])


# --- the ring ---


@pytest.mark.parametrize("seed", range(8))
def test_every_window_of_the_ring_is_what_was_drawn_into_its_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, capacity, width = 8, 40, 24
    first = int(rng.integers(-1000, 1000))
    ring = ColumnRing(height, capacity, np.array([16, 128, 128], np.uint8))
    drawn = np.full((height, 4000, 3), (16, 128, 128), np.uint8)
    offset, end = 2000 - first, first
    for _ in range(60):
        n_columns = int(rng.integers(1, 12))
        pixels = rng.integers(0, 256, (height, n_columns, 3), dtype=np.uint8)
        ring.draw(end, 0, pixels)
        drawn[:, end + offset : end + offset + n_columns] = pixels
        end += n_columns
        again = max(first, end - int(rng.integers(2, 30)))  # what became known later
        ring.draw(again, 2, pixels[:2, :1])
        drawn[2:4, again + offset] = pixels[:2, 0]
        at = end - width - int(rng.integers(0, capacity - width - 12))
        target = blank(width, height, (0, 0, 0))
        ring.copy(at, width, target, 0, 0)
        window = drawn[:, at + offset : at + offset + width]
        assert (target.y == window[..., 0]).all()
        rows = (window[0::2, :, 1:].astype(int) + window[1::2, :, 1:] + 1) >> 1
        chroma = (rows[:, 0::2] + rows[:, 1::2] + 1) >> 1
        assert (target.u == chroma[..., 0]).all()
        assert (target.v == chroma[..., 1]).all()


# --- columns ---


@pytest.mark.parametrize("column_s", [0.004, 0.01, 0.33])
def test_columns_do_not_depend_on_how_the_sound_was_split(column_s: float) -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 0.1, (RATE, 2)).astype(np.float32)
    axis = FrequencyAxis("linear", RATE / 2)

    def columns(sizes: list[int]) -> NDArray[np.float32]:
        spectrogram, found, at, number = ScrollingSpectrogram(axis, 64, column_s), [], 0, 0
        while at < len(samples):
            piece = samples[at : at + sizes[number % len(sizes)]]
            found += list(spectrogram.add(piece, RATE, at / RATE, joined=at > 0))
            at, number = at + len(piece), number + 1
        found += list(spectrogram.end())
        firsts = np.cumsum([0, *(len(each.powers) for each in found)])[:-1]
        assert [each.first for each in found] == firsts.tolist()
        return np.concatenate([each.powers for each in found])

    whole = columns([len(samples)])
    assert len(whole) == pytest.approx(1.0 / column_s, abs=1)
    for sizes in ([1600], [333, 1, 4000], [40]):
        assert columns(sizes) == pytest.approx(whole, rel=1e-4)


def test_a_gap_has_the_columns_of_its_time_and_nothing_else() -> None:
    drawn = Drawn()
    spectrogram, column_s = drawn.spectrogram, 0.01
    spectrogram = ScrollingSpectrogram(drawn.axis, 16, column_s)
    found = list(spectrogram.add(tone(1000, 1.0), RATE, 0.0, joined=False))
    found += list(spectrogram.silence(1.7))
    found += list(spectrogram.add(tone(1000, 1.0), RATE, 2.0, joined=False))
    found += list(spectrogram.end())
    powers = np.concatenate([each.powers for each in found])
    gaps = np.flatnonzero(np.isnan(powers[:, 0]))
    assert gaps.tolist() == list(range(100, 200))
    assert len(powers) == 300
    assert np.nanmin(powers.max(axis=1)[~np.isnan(powers[:, 0])]) > 0.1  # no column of sound is empty


def test_time_that_was_only_moved_is_no_gap() -> None:
    spectrogram = ScrollingSpectrogram(FrequencyAxis("linear", RATE / 2), 16, 0.01)
    found = list(spectrogram.add(tone(1000, 1.0), RATE, 0.0, joined=False))
    found += list(spectrogram.add(tone(1000, 1.0), RATE, 1.1, joined=False, is_gap=False))
    found += list(spectrogram.end())
    powers = np.concatenate([each.powers for each in found])
    assert len(powers) == 210
    assert not np.isnan(powers).any()


def test_a_click_is_in_the_column_of_its_time_however_long_columns_are() -> None:
    for column_s in (0.005, 0.02, 0.5):
        spectrogram = ScrollingSpectrogram(FrequencyAxis("linear", RATE / 2), 16, column_s)
        samples = np.zeros((4 * RATE, 1), np.float32)
        samples[round(2.3 * RATE)] = 1.0
        found = [*spectrogram.add(samples, RATE, 0.0, joined=False), *spectrogram.end()]
        powers = np.concatenate([each.powers for each in found]).sum(axis=1)
        middle = np.flatnonzero(powers > powers.max() / 2).mean() + 0.5
        assert middle * column_s == pytest.approx(2.3, abs=max(0.01, column_s))


# --- levels ---


def test_a_fixed_range_has_the_same_colours_for_the_same_levels() -> None:
    levels = np.linspace(-100, 0, 101)
    powers = (10 ** (levels / 10)).astype(np.float32)[None]
    for gain_db in (0.0, 20.0):
        steps = RunningRange(80.0, gain_db, 0.01).steps(0, powers)[0].astype(int)
        assert steps == pytest.approx(np.clip((levels + 80 + gain_db) * 255 / 80, 0, 255), abs=1)


@pytest.mark.parametrize("level_db", [-90, -20])
def test_an_automatic_range_shows_quiet_and_loud_sound_alike(level_db: float) -> None:
    rng = np.random.default_rng(0)
    noise = rng.exponential(10 ** (level_db / 10), (1000, 100)).astype(np.float32)
    noise[500:520, 40:44] *= 10**4  # 40 dB above the noise, for 0.2 s
    levels = RunningRange(None, 0.0, 0.01)
    steps = levels.steps(0, noise)
    assert 5 <= np.median(steps[300:500]) <= 60
    assert np.median(steps[500:520, 40:44]) > 200
    assert 5 <= np.median(steps[700:]) <= 60  # and is seen still afterwards
    assert levels.low_dbfs == pytest.approx(level_db, abs=6)


def test_an_automatic_range_does_not_depend_on_how_many_columns_come_at_once() -> None:
    rng = np.random.default_rng(0)
    powers = rng.exponential(1e-6, (700, 60)).astype(np.float32) * np.linspace(1, 1e4, 700, dtype=np.float32)[:, None]
    whole = RunningRange(None, 0.0, 0.009).steps(0, powers)
    levels, at = RunningRange(None, 0.0, 0.009), 0
    pieces = []
    while at < len(powers):
        size = int(rng.integers(1, 40))
        pieces.append(levels.steps(at, powers[at : at + size]))
        at += size
    assert (np.concatenate(pieces) == whole).all()


def test_an_automatic_range_survives_silence_and_gaps() -> None:
    powers = np.full((50, 20), np.nan, np.float32)
    powers[10:20] = 0.0
    levels = RunningRange(None, 0.0, 0.05)
    assert levels.steps(0, powers)[10:20].max() == 0
    assert np.isfinite((levels.low_dbfs, levels.high_dbfs)).all()


# --- pictures ---


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
@pytest.mark.parametrize(("low_hz", "high_hz"), [(None, None), (500.0, 4000.0)])
def test_a_sweep_is_found_where_it_was(scale, low_hz: float | None, high_hz: float | None) -> None:
    drawn = Drawn(
        FilmLook(480, 270, palette="grey", seconds=4.0, range_db=80, scale=scale, low_hz=low_hz, high_hz=high_hz)
    )
    time_s = np.arange(6 * RATE) / RATE
    drawn.hear((0.5 * np.sin(2 * np.pi * (700 * time_s + 200 * time_s**2))).astype(np.float32)[:, None])
    at_s = 5.7
    plot = drawn.darkness(at_s)
    for column in range(5, plot.shape[1] - 5, 20):
        row = plot[:, column].argmax()
        expected_hz = 700 + 400 * drawn.time_of(column + 0.5, at_s)
        assert drawn.axis.hz((row + 0.5) / len(plot)) == pytest.approx(expected_hz, rel=0.06, abs=60)


def test_every_picture_is_the_one_before_moved_to_the_left() -> None:
    drawn = Drawn()
    rng = np.random.default_rng(3)
    drawn.hear(rng.normal(0, 0.1, (6 * RATE, 1)).astype(np.float32))
    number, column_s = 500, drawn.picture.column_s
    before = drawn.darkness((number + 0.5) * column_s).copy()
    for columns in (1, 2, 7):
        moved = drawn.darkness((number + columns + 0.5) * column_s)
        assert (moved[:, :-columns] == before[:, columns:]).all()


def test_a_gap_is_striped_in_its_time() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 2.0))
    drawn.lose(1.0)
    drawn.hear(tone(1000, 1.0))
    at_s = 3.9
    plot = drawn.darkness(at_s)
    stripes = {20, 36}  # the light theme's
    is_gap = (plot.min(axis=0) >= 20) & (plot.max(axis=0) <= 60)
    begin, end = np.flatnonzero(is_gap)[[0, -1]]
    assert is_gap[begin : end + 1].all()
    assert drawn.time_of(begin, at_s) == pytest.approx(2.0, abs=2 * drawn.picture.column_s)
    assert drawn.time_of(end + 1, at_s) == pytest.approx(3.0, abs=2 * drawn.picture.column_s)
    assert len(np.unique(plot[:, begin : end + 1])) == len(stripes)


def test_a_detection_is_drawn_at_its_own_time_however_late_it_is_known() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 3.0))
    drawn.picture.begin_mark("1", "dog", 1.5)
    drawn.hear(tone(1000, 1.0))
    drawn.picture.end_mark("1", 2.5)
    at_s = 3.9
    lanes = drawn.lanes(at_s)
    columns = np.flatnonzero(is_red(lanes).any(axis=0))
    assert drawn.time_of(columns[0], at_s) == pytest.approx(1.5, abs=2 * drawn.picture.column_s)
    assert drawn.time_of(columns[-1] + 1, at_s) == pytest.approx(2.5, abs=2 * drawn.picture.column_s)
    assert len(columns) == columns[-1] + 1 - columns[0]
    written = np.flatnonzero((lanes[..., 0] < 100).any(axis=0) & ~is_red(lanes).all(axis=0))
    assert drawn.time_of(written[0], at_s) == pytest.approx(1.5, abs=0.1)  # its label


def test_what_goes_on_is_drawn_up_to_now_and_its_label_once_more() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 3.0))
    drawn.picture.begin_mark("1", "rain", 1.0)
    drawn.hear(tone(1000, 9.0))
    lanes = drawn.lanes(11.5)
    assert is_red(lanes).any(axis=0).all()
    lane = lanes[-drawn.picture.layout.lane_height : -4, :, 0]
    assert (lane < 100).any()


def test_a_label_that_begins_just_now_is_seen_whole() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 6.0))
    drawn.picture.begin_mark("1", "smoke alarm", 5.95)
    lanes = drawn.lanes(6.0)[..., 0]
    width = round(drawn.picture.layout.text_width("smoke alarm"))
    written = np.flatnonzero((lanes[-drawn.picture.layout.lane_height : -4] < 100).any(axis=0))
    assert written[-1] - written[0] == pytest.approx(width, abs=4)


def test_detections_that_overlap_have_lanes_and_those_too_many_a_bar() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 3.0))
    for number in range(5):
        drawn.picture.begin_mark(str(number), f"sound {number}", 1.0 + number / 10)
    lanes = drawn.lanes(2.9)
    rows = np.flatnonzero(is_red(lanes).any(axis=1))
    assert len(np.flatnonzero(np.diff(rows) > 1)) + 1 == 3
    for number in range(5):
        drawn.picture.end_mark(str(number), 2.5)
        drawn.picture.end_mark(str(number), 2.5)  # no mark of that name any more
    assert not is_red(drawn.lanes(2.9))[:, -20:].any()


def test_any_label_can_be_drawn() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 2.0))
    for number, label in enumerate(["", "\x1b[31m", "x" * 5000, "日本語 ☃", "\u202e\n", "é"]):
        drawn.picture.begin_mark(str(number), label, 1.0)
        drawn.hear(tone(1000, 1.0))
        drawn.picture.end_mark(str(number), drawn.end_s - 0.1)


def test_ticks_of_the_time_are_below_their_columns() -> None:
    drawn = Drawn()
    drawn.hear(tone(1000, 6.0))
    at_s = 5.0
    layout, planes = drawn.picture.layout, drawn.picture.frame(at_s)
    top = layout.scroll_y + layout.lanes_height + layout.plot_height
    row = planes.y[top, layout.scroll_x : layout.scroll_x + layout.scroll_width]
    ticks = [drawn.time_of(column, at_s) for column in np.flatnonzero(row < 200).tolist()]
    assert ticks == pytest.approx([1.5, 2.5, 3.5, 4.5], abs=2 * drawn.picture.column_s)


@pytest.mark.parametrize("size", [(128, 128), (160, 2160), (4096, 128), (1280, 720), (854, 480)])
@pytest.mark.parametrize("palette", ["magma", "grey"])
def test_pictures_of_every_size_can_be_drawn(size: tuple[int, int], palette) -> None:
    drawn = Drawn(FilmLook(*size, palette=palette, seconds=20.0))
    drawn.hear(tone(1000, 0.5))
    drawn.picture.begin_mark("1", "a dog", 0.2)
    drawn.lose(0.5)
    drawn.picture.layout.show_level(-30, "-30 dBFS")
    drawn.picture.layout.show_clock("2026-01-01 12:00:00 UTC")
    drawn.picture.end_mark("1", 0.4)
    y, u, v = drawn.picture.frame(0.9)
    assert (y.shape, u.shape, v.shape) == (
        (size[1], size[0]),
        (size[1] // 2, size[0] // 2),
        (size[1] // 2, size[0] // 2),
    )


def test_a_letterbox_is_black_around_the_picture() -> None:
    drawn = Drawn(FilmLook(width=480, height=480, palette="grey", aspect=2.0))
    y = drawn.picture.frame(0.0).y
    assert (y[:120] == 16).all()
    assert (y[-120:] == 16).all()
    assert (y[122:-122, 2:-2] > 16).mean() > 0.9


def test_what_stands_still_is_drawn_when_it_changes_and_only_there() -> None:
    layout = Drawn().picture.layout
    before = Planes(*(plane.copy() for plane in layout.planes))
    layout.show_clock("2026-01-01 12:00:00 UTC")
    with_clock = layout.planes.y.copy()
    changed = np.argwhere(with_clock != before.y)
    assert len(changed) > 50
    assert changed[:, 0].max() < layout.scroll_y
    assert changed[:, 1].min() > layout.scroll_x + layout.scroll_width / 2
    layout.show_clock("2026-01-01 12:00:00 UTC")
    assert (layout.planes.y == with_clock).all()
    layout.show_level(-20.0, "-20 dBFS")
    lit = int((layout.planes.y != with_clock).sum())
    layout.show_level(None, "no sound")
    assert lit > 50
    assert (layout.planes.y != with_clock).any()


def test_a_band_begins_and_ends_with_its_own_frequencies() -> None:
    axis = FilmLook(low_hz=500, high_hz=6000).axis(RATE)
    ticks = frequency_ticks(axis, 0.08)
    assert (ticks[0].text, ticks[-1].text) == ("0.5", "6")
    assert all(0 <= tick.place <= 1 for tick in ticks)
    assert axis.place(500) == pytest.approx(0)


def test_sound_above_the_band_is_not_in_its_last_row() -> None:
    drawn = Drawn(FilmLook(480, 270, palette="grey", seconds=4.0, range_db=80, high_hz=4000.0))
    drawn.hear(tone(7000, 2.0))
    assert drawn.darkness(1.9)[:, -50:-10].max() < 60


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        ({"width": 127}, "a film of 127x720 pixels: a side has 128 to 4096"),
        ({"width": 4096, "height": 4096}, "at most 3840x2160"),
        ({"height": 721}, "a film of 1280x721 pixels: both sides must be even"),
        ({"frame_rate": 61}, "61 pictures a second: 15 to 60 are possible"),
        ({"seconds": 0.5}, "0.5 s across the picture: 1 to 3600 s are possible"),
        ({"seconds": float("nan")}, "nan s across the picture"),
        ({"range_db": 5.0}, "a range of 5 dB"),
        ({"gain_db": 500.0}, "a gain of 500 dB"),
        ({"aspect": 100.0}, "an aspect of 100"),
        ({"palette": "jet"}, "'jet' is none of magma"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_one_line(look, problem: str) -> None:
    with pytest.raises(PictureError) as refused:
        FilmLook(**look)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        (
            {"low_hz": 8000.0},
            "frequencies from 8000 to 8000 Hz: the band is empty or too narrow; this sound has 0 to 8000 Hz",
        ),
        ({"low_hz": 5000.0, "high_hz": 300.0}, "the band is empty"),
        ({"scale": "log", "high_hz": 40.0}, "frequencies from 50 to 40 Hz"),
        ({"scale": "log", "low_hz": 0.0}, "a logarithmic axis from 0 Hz: it begins at 1 Hz or more"),
    ],
)
def test_a_band_that_the_sound_has_not_is_refused(look, problem: str) -> None:
    with pytest.raises(PictureError) as refused:
        FilmLook(**look).axis(RATE)
    assert problem in str(refused.value)


def test_columns_beyond_the_ring_are_drawn_in_parts() -> None:
    drawn = Drawn()
    many = np.full((3000, drawn.picture.n_rows), 0.1, np.float32)
    drawn.picture.add(Columns(0, many))
    assert drawn.picture.next == 3000
    assert drawn.darkness(3000 * drawn.picture.column_s).min() > 100
