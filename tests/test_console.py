"""What people see in a terminal, to the character."""

import io

import numpy as np
import pytest

from edgeaudio.console import (
    cell_width,
    clock_time,
    columns,
    decibels,
    fold,
    knows_unicode,
    picture,
    progress_line,
    some_of,
    table,
)
from edgeaudio.spectrum import band_levels, resampled
from edgeaudio.terminal import Styled, bad


def test_columns_stand_under_each_other() -> None:
    rows = [("a", "1", "x"), ("bbb", "22"), ("cc", "333", "yy", "z")]
    assert columns(rows, align=("<", ">")) == ["a      1  x", "bbb   22", "cc   333  yy  z"]
    assert columns([]) == []


def test_the_last_column_is_folded_at_words() -> None:
    rows = [("sha256", "0" * 30), ("what it is", "one two three four five six seven eight nine"), ("b",)]
    assert columns(rows, width=40) == [
        "sha256      000000000000000000000000000000",  # no word is cut
        "what it is  one two three four five six",
        "            seven eight nine",
        "b",
    ]
    assert columns([("a", "one two three four five six")], width=5) == ["a  one two three four", "   five six"]
    assert columns(rows) == [*columns(rows, width=1000)]
    assert fold([], 10) == [""]


def test_a_long_cell_leaves_the_last_column_its_room() -> None:
    rows = [
        ("source " + "a" * 40, "FAILS", "nothing listens there; check the port"),
        ("broker", "works", "one two three"),
    ]
    assert columns(rows, width=40) == [
        "source aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  FAILS",
        "                    nothing listens",
        "                    there; check the",
        "                    port",
        "broker       works  one two three",
    ]
    assert columns(rows)[1].index("works") == 49  # lines that are not folded have all the room that there is


def test_east_asian_characters_are_two_wide_and_accents_none() -> None:
    assert [cell_width(text) for text in ("dog", "犬", "e\u0301", "\u200bx")] == [3, 2, 1, 1]
    assert columns([("犬", "x"), ("dog", "y")]) == ["犬   x", "dog  y"]


def test_styles_stay_with_their_cells() -> None:
    line = table([["source porch", bad("FAILS"), "why\x1b"]], widths=(0, 6))[0]
    assert "".join(line) == "source porch  FAILS   why\\u001b"
    assert [piece for piece in line if isinstance(piece, Styled)] == ["FAILS"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00.00"), (59.994, "00:59.99"), (59.996, "01:00.00"), (61.5, "01:01.50"), (3723.25, "1:02:03.25")],
)
def test_a_place_in_a_recording(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_levels_for_people() -> None:
    assert decibels(-12.34) == "-12.3 dBFS"
    assert decibels(None) == "silence"


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "width", "unicode", "line"),
    [
        (0, 100, 0, 20, True, "░░░░░░░░░░░░░░░   0%"),
        (50, 100, 10, 32, True, "████████░░░░░░░░  50% 00:10 left"),
        (50, 100, 0.5, 20, False, "#######........  50%"),
        (200, 100, 0.5, 20, False, "############### 100%"),
        (1, 0, 0, 20, False, "############### 100%"),
        (50, 100, 0.5, 7, True, "50%"),
        (50, 100, 0.5, 2, True, "50"),
    ],
)
def test_progress(done, total, elapsed_s, width, unicode, line) -> None:
    drawn = progress_line(done, total, elapsed_s, width, unicode=unicode)
    assert drawn == line
    assert len(drawn) <= width


def test_the_bar_is_never_longer_than_a_line_of_text() -> None:
    assert len(progress_line(1, 2, 0, 500)) == 65


@pytest.mark.parametrize(
    ("encoding", "knows"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("cp437", True)]
)
def test_block_characters_need_an_encoding_that_has_them(encoding: str, knows: bool) -> None:
    assert knows_unicode(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) is knows


def test_a_stream_without_an_encoding_gets_ascii() -> None:
    assert knows_unicode(io.StringIO()) is False


def test_a_picture_of_two_tones() -> None:
    levels = np.array([[-10, -70, -np.inf], [-np.inf, -40, -10]], np.float32)
    assert picture(levels, [100, 2000], ("-3 s", "0")) == [
        " 2 kHz | ▒█",
        "100 Hz |█  ",
        "       +---",
        "        -3 s0",
        "        ░ -55  █ -10 dBFS",
    ]
    assert picture(levels, [100, 2000], ("-3 s", "0"), unicode=False)[:2] == [" 2 kHz | -#", "100 Hz |#  "]


def test_a_picture_of_nothing() -> None:
    assert picture(np.full((2, 3), -np.inf, np.float32), [100, 2000], ("0", "1")) == ["(nothing but digital silence)"]


def tone(hertz: float, sample_rate: int, seconds: float, amplitude: float = 1.0):
    time_s = np.arange(int(sample_rate * seconds)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


@pytest.mark.parametrize(("hertz", "sample_rate"), [(120, 8000), (1000, 16000), (15000, 44100), (70000, 192000)])
def test_a_tone_lies_in_its_band_at_its_level(hertz: float, sample_rate: int) -> None:
    levels, centres = band_levels(tone(hertz, sample_rate, 4, 0.1), sample_rate, 14, 8)
    assert levels.shape == (14, 8)
    nearest = int(np.argmin(np.abs(np.log(np.array(centres) / hertz))))
    assert np.all(np.argmax(levels, axis=0) == nearest)
    assert levels[nearest] == pytest.approx(-23.0, abs=0.3)  # 0.1 is -20 dB, and a sine's power half of its peak's


def test_a_tone_that_begins_late_is_in_the_later_columns() -> None:
    samples = np.concatenate([np.zeros(16000, np.float32), tone(1000, 16000, 1)])
    loudest = band_levels(samples, 16000, 14, 4)[0].max(axis=0)
    assert np.all(loudest[:2] == -np.inf)
    assert np.all(loudest[2:] > -4)


def test_powers_over_other_columns_are_the_means_of_what_those_cover() -> None:
    power = np.array([[1.0, 1.0, 4.0], [0.0, 0.0, 3.0]])
    assert resampled(power, 1).tolist() == [[2.0], [1.0]]
    assert resampled(power, 2) == pytest.approx(np.array([[1.0, 3.0], [0.0, 2.0]]))
    assert resampled(power, 6) == pytest.approx(np.repeat(power, 2, axis=1))


def test_more_columns_than_samples_stay_empty() -> None:
    levels, _ = band_levels(np.ones(3, np.float32), 8000, 4, 8)
    assert np.all(levels == -np.inf)


def test_of_many_names_the_first_are_shown():
    assert some_of(["a", "b"], 2) == "a, b"
    assert some_of(["a", "b", "c", "d"], 2) == "a, b and 2 more"
