"""A film: pictures at their times, sound at its place, whatever the source does in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from support.films import KeptFilm, PlotView

from edgeaudio.film.detections import Detections, MarkBegin, MarkEnd
from edgeaudio.film.film import Film
from edgeaudio.film.recording import MEDIA_START, film_recording
from edgeaudio.film.time_line import TimeLine
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.types import Block, Samples

RATE = 16_000
LOOK = FilmLook(width=480, height=270, frame_rate=20, palette="grey", seconds=4.0, range_db=80.0, has_marks=False)


def sweep(length_s: float, rate: int = RATE, channels: int = 1) -> Samples:
    """A tone that begins at 500 Hz and rises by 500 Hz each second."""
    time_s = np.arange(round(length_s * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * (500 * time_s + 250 * time_s**2))
    return np.repeat(tone.astype(np.float32)[:, None], channels, axis=1)


def blocks(
    samples: Samples, begin_s: float = 0.0, *, epoch: int = 0, size: int = 1600, rate: int = RATE
) -> Iterator[Block]:
    for offset in range(0, len(samples), size):
        at = MEDIA_START + timedelta(seconds=begin_s + offset / rate)
        yield Block("a", epoch, offset, at, rate, samples[offset : offset + size])


class Made:
    """A film of a recording."""

    def __init__(
        self, *sources: Iterator[Block], look: FilmLook = LOOK, detections: Detections | None = None, **options
    ) -> None:
        self.output = KeptFilm()
        self.look = look
        self.channel = options.pop("channel", None)
        self.detections = detections
        self.film, self.failure = film_recording(
            (block for source in sources for block in source),
            self._make,
            start_s=options.pop("start_s", 0.0),
            length_s=options.pop("length_s", None),
            on_progress=lambda _: None,
            stop=options.pop("stop", threading.Event()),
        )

    def _make(self, line: TimeLine, first: Block) -> Film:
        return Film(
            self.look, line, first, self.output.open, begin=0.0, detections=self.detections, channel=self.channel
        )

    def hz(self, number: int, before_s: float) -> float:
        return PlotView(self.look, RATE).loudest_hz(self.output.pictures[number], before_s)


def test_every_picture_shows_the_sound_up_to_its_own_time() -> None:
    made = Made(blocks(sweep(6.0)))
    assert sorted(made.output.pictures) == list(range(120))
    for number in range(30, 120, 7):
        for before_s in (0.03, 0.5, 1.2):
            at_s = number / 20 - before_s
            assert made.hz(number, before_s) == pytest.approx(500 + 500 * at_s, abs=60)
    assert made.output.closed == 1


@pytest.mark.parametrize("size", [160, 999, 16_000, 96_000])
def test_a_film_does_not_depend_on_the_length_of_the_blocks(size: int) -> None:
    usual, other = Made(blocks(sweep(3.0))), Made(blocks(sweep(3.0), size=size))
    assert sorted(other.output.pictures) == sorted(usual.output.pictures)
    view = PlotView(LOOK, RATE)
    for number in (0, 20, 40, 59):
        plots = [view.plot(made.output.pictures[number]) for made in (usual, other)]
        assert np.abs(plots[0] - plots[1]).max() <= 1
    assert (other.output.heard() == usual.output.heard()).all()


def test_the_sound_is_the_sources_to_the_sample() -> None:
    samples = sweep(2.5, channels=2)
    samples[:, 1] *= -1
    made = Made(blocks(samples))
    assert made.output.form is not None
    assert (made.output.form.sample_rate, made.output.form.channels) == (RATE, 2)
    assert (made.output.heard() == samples).all()


def test_a_hole_is_a_gap_of_its_length_in_picture_and_sound() -> None:
    made = Made(blocks(sweep(1.0)), blocks(sweep(1.0), 3.0, epoch=1))
    assert sorted(made.output.pictures) == list(range(80))
    heard = made.output.heard()
    assert len(heard) == 4 * RATE
    assert not heard[RATE : 3 * RATE].any()
    assert (heard[3 * RATE :] == sweep(1.0)).all()
    plot = PlotView(LOOK, RATE).plot(made.output.pictures[79])
    striped = np.flatnonzero((plot.min(axis=0) >= 20) & (plot.max(axis=0) <= 60))
    column_s, end_s = 4.0 / plot.shape[1], 79 / 20
    begin_s, last_s = (end_s - (plot.shape[1] - column) * column_s for column in (striped[0], striped[-1] + 1))
    assert begin_s == pytest.approx(1.0, abs=0.02)
    assert last_s == pytest.approx(3.0, abs=0.02)
    assert made.film is not None
    assert made.film.footage.length_s == pytest.approx(4.0)
    assert made.film.footage.sound_s == pytest.approx(2.0)


class _StopAfter(threading.Event):
    """Set when it was asked for so often."""

    def __init__(self, n_times: int) -> None:
        super().__init__()
        self._left = n_times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_hole_of_days_can_be_stopped() -> None:
    made = Made(blocks(sweep(0.1)), blocks(sweep(1.0), 900_000.0, epoch=1), stop=_StopAfter(4))
    assert made.film is not None
    assert 1.0 <= made.film.footage.length_s <= 5.0
    assert made.output.closed == 1


def test_a_part_of_a_recording_has_its_own_beginning_and_length() -> None:
    made = Made(blocks(sweep(6.0)), start_s=2.0, length_s=1.5)
    assert sorted(made.output.pictures) == list(range(30))
    assert (made.output.heard() == sweep(6.0)[2 * RATE : round(3.5 * RATE)]).all()
    assert made.hz(29, 0.2) == pytest.approx(500 + 500 * (2.0 + 29 / 20 - 0.2), abs=60)


def test_there_is_no_film_where_there_is_no_sound() -> None:
    made = Made(blocks(sweep(1.0)), start_s=5.0)
    assert made.film is None
    assert not made.output.closed


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (16_000, 6), (22_222, 1)])
def test_a_format_that_changes_is_heard_and_seen_at_its_time(rate: int, channels: int) -> None:
    made = Made(blocks(sweep(1.0)), blocks(sweep(2.0, rate, channels), 1.0, epoch=1, rate=rate, size=rate // 10))
    heard = made.output.heard()
    assert len(heard) == pytest.approx(3 * RATE, abs=40)
    assert made.hz(59, 0.2) == pytest.approx(500 + 500 * (59 / 20 - 0.2 - 1.0), abs=60)
    # the sweep's zero crossings are where they are without any conversion
    piece = heard[round(1.2 * RATE) : round(1.4 * RATE), 0]
    expected = sweep(2.0)[round(0.2 * RATE) : round(0.4 * RATE), 0]
    assert piece == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("rate", "film_hz"), [(2_000, 8_000), (1_000_000, 384_000), (500_000, 500_000)])
def test_a_rate_that_no_film_has_is_converted(rate: int, film_hz: int) -> None:
    made = Made(blocks(sweep(0.3, rate), rate=rate, size=rate // 10))
    assert made.output.form is not None
    assert made.output.form.sample_rate == film_hz
    assert len(made.output.heard()) == pytest.approx(0.3 * film_hz, abs=40)


def test_one_channel_can_be_chosen() -> None:
    samples = sweep(1.0, channels=3)
    samples[:, 0] = samples[:, 2] = 0
    made = Made(blocks(samples), channel=2)
    assert (made.output.heard() == sweep(1.0)).all()
    assert made.hz(19, 0.2) == pytest.approx(500 + 500 * 0.75, abs=60)


def test_broken_values_harm_nothing() -> None:
    samples = sweep(2.0)
    samples[5000:5100] = np.nan
    samples[9000:9050] = np.inf
    made = Made(blocks(samples))
    assert np.isfinite(made.output.heard()).all()
    assert made.hz(39, 0.1) == pytest.approx(500 + 500 * 1.85, abs=60)


class _Scripted(Detections):
    """Detections at times that a test chooses, each known a second later."""

    def __init__(self) -> None:
        self.ended = False

    def feed(self, block: Block, time_line: TimeLine) -> Iterator[MarkBegin | MarkEnd]:
        at_s = block.offset / block.sample_rate
        if at_s == 2.0:
            yield MarkBegin("1", "dog 0.90", time_line.film_s(block.epoch, 1.0) or 0.0)
        if at_s == 2.5:
            yield MarkEnd("1", time_line.film_s(block.epoch, 1.5) or 0.0)

    def end(self, time_line: TimeLine) -> Iterator[MarkBegin | MarkEnd]:
        self.ended = True
        yield from ()


def test_detections_are_drawn_at_their_own_time() -> None:
    detections = _Scripted()
    look = FilmLook(width=480, height=270, frame_rate=20, palette="grey", seconds=4.0, range_db=80.0)
    made = Made(blocks(sweep(4.0)), look=look, detections=detections)
    assert detections.ended
    plain, view = Made(blocks(sweep(4.0)), look=look), PlotView(look, RATE)
    assert (made.output.pictures[39] == plain.output.pictures[39]).all()  # it is not known yet
    bar = view.lanes(made.output.pictures[79]) != view.lanes(plain.output.pictures[79])
    columns = np.flatnonzero(bar[-2:].all(axis=0))
    assert view.time_of(columns[0], 79 / 20) == pytest.approx(1.0, abs=0.02)
    assert view.time_of(columns[-1] + 1, 79 / 20) == pytest.approx(1.5, abs=0.02)
    label = np.flatnonzero(bar[:-4].any(axis=0))
    assert view.time_of(label[0], 79 / 20) == pytest.approx(1.0, abs=0.1)


class _Full(KeptFilm):
    """An output whose disk is full after a while."""

    def picture(self, number: int, planes) -> None:
        if number > 10:
            raise OSError("full")
        super().picture(number, planes)


def test_a_film_that_cannot_be_written_any_more_is_closed() -> None:
    output = _Full()

    def make(line: TimeLine, first: Block) -> Film:
        return Film(LOOK, line, first, output.open, begin=0.0)

    with pytest.raises(OSError, match="full"):
        film_recording(
            blocks(sweep(3.0)), make, start_s=0.0, length_s=None, on_progress=lambda _: None, stop=threading.Event()
        )
    assert output.closed == 1


def test_a_live_film_without_sound_goes_on() -> None:
    zero = datetime(2026, 6, 1, tzinfo=UTC)
    line, output = TimeLine(zero, is_live=True), KeptFilm()
    first, *more = [
        Block("a", 0, offset, zero + timedelta(seconds=offset / RATE), RATE, sweep(1.0)[offset : offset + 1600])
        for offset in range(0, RATE, 1600)
    ]
    film = Film(LOOK, line, first, output.open, begin=zero)
    for number, block in enumerate((first, *more)):
        film.feed(block, 0.1 * (number + 1))
    for now_s in np.arange(1.5, 4.0, 0.1):
        film.without_sound(float(now_s))
    assert film.drawn_s == pytest.approx(3.9, abs=0.06)
    film.stride = 4
    film.without_sound(5.0)
    film.finish()
    assert all(later - earlier == 4 for earlier, later in pairwise(sorted(output.pictures)[-5:]))
    assert film.footage.skipped > 0
    assert film.footage.length_s == pytest.approx(5.0, abs=0.25)
