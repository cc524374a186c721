"""Axes, marks and labels: round values that do not touch, any text as text, all of it inside of the picture."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from support.pictures import opened, plot_of

from edgeaudio.pictures.canvas import Canvas
from edgeaudio.pictures.drawing import Mark
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.options import PictureOptions
from edgeaudio.pictures.picture import draw
from edgeaudio.pictures.ticks import frequency_ticks, time_ticks, unit_of

WIDE = 0.1
MARKUP = "<img src=x onerror=alert(1)>"


def texts(ticks) -> list[str]:
    return [tick.text for tick in ticks]


def test_frequencies_are_round_up_to_nyquist() -> None:
    assert texts(frequency_ticks(FrequencyAxis("linear", 24_000), WIDE)) == ["0", "4", "8", "12", "16", "20", "24"]
    assert texts(frequency_ticks(FrequencyAxis("linear", 4000), WIDE)) == [
        *("0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4")
    ]
    assert texts(frequency_ticks(FrequencyAxis("mel", 24_000), WIDE)) == ["0", "1", "2", "5", "10", "24"]
    assert texts(frequency_ticks(FrequencyAxis("log", 22_050), 0.08)) == [
        *("0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "22.05")
    ]


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
@pytest.mark.parametrize("high_hz", [500, 4000, 11_025, 24_000, 96_000, 500_000])
@pytest.mark.parametrize("room", [0.02, 0.3, 0.6])
def test_frequencies_do_not_touch(scale, high_hz: float, room: float) -> None:
    ticks = frequency_ticks(FrequencyAxis(scale, high_hz), room)
    places = [tick.place for tick in ticks]
    assert places[0] == pytest.approx(0)
    assert places[-1] == 1
    assert np.diff(places).min() >= room


def test_times_are_round_and_have_the_form_of_their_length() -> None:
    def shown(duration_s: float, begin: float | datetime = 0.0) -> list[str]:
        return texts(time_ticks(duration_s, begin, lambda _: 0.15))

    assert shown(8) == ["0", "2", "4", "6", "8"]
    assert shown(1.7) == ["0.0", "0.5", "1.0", "1.5"]
    assert shown(90) == ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]
    assert shown(8, 7198.5) == ["2:00:00", "2:00:02", "2:00:04", "2:00:06"]
    assert shown(7200 * 2) == ["0:00:00", "1:00:00", "2:00:00", "3:00:00", "4:00:00"]
    at = datetime(2026, 11, 30, 14, 3, 11, 400_000, UTC)
    assert shown(8, at) == ["14:03:12", "14:03:14", "14:03:16", "14:03:18"]
    assert shown(1, at) == ["14:03:11.4", "14:03:11.6", "14:03:11.8", "14:03:12.0", "14:03:12.2", "14:03:12.4"]
    assert (unit_of(8, 0.0), unit_of(8, 60.0), unit_of(8, at)) == ("s", "", "UTC")


def test_the_clock_is_that_of_its_zone_also_where_it_changes() -> None:
    begin = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # at 3 it is 2 again
    assert texts(time_ticks(3600 * 2, begin, lambda _: 0.2)) == ["02:30", "02:00", "02:30", "03:00", "03:30"]


@pytest.mark.parametrize("duration_s", [1e-4, 1e-3, 0.3, 5, 59, 61, 3599, 3601, 86_400, 1e7, 1e9])
@pytest.mark.parametrize("begin", [0.0, 3723.4, datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC)])
def test_times_do_not_touch(duration_s: float, begin: float | datetime) -> None:
    ticks = time_ticks(duration_s, begin, lambda text: len(text) * 0.02)
    places = [tick.place for tick in ticks]
    assert all(0 <= place <= 1 + 1e-6 for place in places)
    if len(ticks) > 1:
        assert np.diff(places).min() >= 0.02 * max(len(tick.text) for tick in ticks) - 1e-9


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (MARKUP, MARKUP),
        ("", ""),
        ("two\nlines\tand \x1b[31mred", "two\\nlines\\tand \\u001b[31mred"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("Hündegebell à la crème", "Hundegebell a la creme"),
        ("e\u0301te\u0301", "ete"),
    ],
)
def test_labels_are_text(label: str, shown: str) -> None:
    assert Canvas(400, 100, (0, 0, 0), 12).fitted(label, 400) == shown


def test_long_labels_are_cut_with_an_ellipsis() -> None:
    canvas = Canvas(400, 100, (0, 0, 0), 12)
    for label in ("x" * 10_000, "W" * 300, "犬" * 10_000, "a\n" * 5000):
        shown = canvas.fitted(label, 200)
        assert shown.endswith("…")
        assert 150 < canvas.text_width(shown) <= 200
    assert canvas.fitted("much", 1) == ""


@pytest.mark.parametrize(
    "label", [MARKUP, "x" * 10_000, "a\nb", "\u202eright to left", "שלום עולם", "犬", "\ud800", "\0", ""]
)
def test_no_label_touches_the_plot_or_leaves_the_picture(label: str) -> None:
    options = PictureOptions(480, 240, image_format="png")
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    marks, unlabelled = [Mark(label, 0.8, 0.9)], [Mark("", 0.8, 0.9)]
    plots = [plot_of(draw(samples, 8000, options, marks=each), options, 8000) for each in (marks, unlabelled)]
    assert np.array_equal(plots[0], plots[1])
    pixels = np.asarray(opened(draw(samples, 8000, options, marks=marks)))
    above = pixels[: pixels.shape[0] // 14]
    assert (above[:2] == above[0, 0]).all()  # the edge of the picture is free
    assert (above[:, :3] == above[0, 0]).all()


def test_the_extent_of_an_event_is_drawn() -> None:
    options = PictureOptions(image_format="png", palette="grey")
    samples = np.random.default_rng(0).normal(0, 0.1, 8 * 8000).astype(np.float32)
    plot = plot_of(draw(samples, 8000, options, marks=[Mark("dog", 2, 6)]), options, 8000).astype(int)
    red = np.flatnonzero(((plot[:, :, 0] - plot[:, :, 2]) > 100).mean(axis=0) > 0.3)
    assert np.unique(np.round(red / plot.shape[1] * 8, 1)).tolist() == [2.0, 6.0]
    plot = plot_of(draw(samples, 8000, options, marks=[Mark("dog", 2)]), options, 8000).astype(int)
    red = np.flatnonzero(((plot[:, :, 0] - plot[:, :, 2]) > 100).mean(axis=0) > 0.3)
    assert np.unique(np.round(red / plot.shape[1] * 8, 1)).tolist() == [2.0]


def test_marks_that_overlap_are_above_each_other() -> None:
    options = PictureOptions(480, 240, image_format="png")
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)

    def bars(*marks: Mark) -> int:
        pixels = np.asarray(opened(draw(samples, 8000, options, marks=marks)))
        white = (pixels == 255).all(axis=2)
        rows = np.flatnonzero(white.sum(axis=1) > 100)
        return int((np.diff(rows, prepend=-9) > 1).sum())

    assert bars(Mark("a", 0.1, 0.5)) == 1
    assert bars(Mark("a", 0.1, 0.5), Mark("b", 0.2, 0.9)) == 2
    assert bars(Mark("a", 0.1, 0.45), Mark("b", 0.5, 0.9)) == 1
    assert bars(*(Mark(f"{index}", 0.1, 0.9) for index in range(1000))) == 3
