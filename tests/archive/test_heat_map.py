"""The picture of days and hours: cells, what was not recorded, and the sun on the zone's clock."""

from __future__ import annotations

from datetime import date, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from support.archive_results import BEGIN, Heard, put_result

from edgeaudio.archive.heat_map import HOUR_PX, MOST_DAYS, draw, map_of, sun_rows
from edgeaudio.archive.sun import SUNRISE_DEG, Place
from edgeaudio.pictures.canvas import Canvas, Colour
from edgeaudio.pictures.options import PictureError
from edgeaudio.pictures.palettes import palette
from edgeaudio.pictures.themes import theme_of

Image = pytest.importorskip("PIL.Image", reason="the extra pictures is not installed")
BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
FIRST = date(2026, 3, 27)
LEFT, TOP = 56, 42  # of the plot


def pixels_of(found) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(draw(found, "png"))).convert("RGB"))


def cell(pixels: np.ndarray, day: int, hour: int, days: int) -> np.ndarray:
    """Return the pixels of a cell, `(n, 3)`."""
    width = (1200 - LEFT - 112) // days
    bottom = TOP + (24 - hour) * HOUR_PX
    return pixels[bottom - HOUR_PX : bottom, LEFT + day * width : LEFT + (day + 1) * width].reshape(-1, 3)


def test_cells_are_rates_and_what_was_not_recorded_looks_different() -> None:
    cells = [(FIRST, 0, 0, 1.0), (FIRST, 23, 4, 1.0), (FIRST + timedelta(days=1), 5, 4, 0.5)]
    pixels = pixels_of(map_of(cells, "dog", UTC))
    colours = palette("magma")
    assert (cell(pixels, 0, 0, 2) == colours[0]).all()  # listened to, nothing heard
    assert (cell(pixels, 0, 23, 2) == colours[128]).all()  # half of the highest rate
    assert (cell(pixels, 1, 5, 2) == colours[255]).all()
    missing = {tuple(pixel) for pixel in cell(pixels, 1, 6, 2)}
    assert missing == set(theme_of("magma").gap)


def test_the_sun_jumps_with_the_clocks() -> None:
    cells = [(FIRST + timedelta(days=index), 0, 0, 1.0) for index in range(4)]
    found = map_of(cells, "dog", BERLIN, Place(53.55, 10.0))  # Hamburg
    rows = sun_rows(found, SUNRISE_DEG)
    mornings = {day: hour for day, hour in rows if hour < 12}
    # on 29 March 2026 clocks go from 2 to 3
    assert mornings[date(2026, 3, 28)] == pytest.approx(6.1, abs=0.1)
    assert mornings[date(2026, 3, 29)] == pytest.approx(7.05, abs=0.1)
    lit = (pixels_of(found) == theme_of("magma").mark).all(axis=-1)
    width = (1200 - LEFT - 112) // 4
    for index in range(4):
        column = lit[TOP : TOP + 24 * HOUR_PX, LEFT + index * width + width // 2]
        assert column.sum() == 4  # two lines of two pixels
        above, below = np.flatnonzero(column)[[0, 1]] + (-1, 1)
        for edge in (above, below):  # without it a line is lost on pale cells
            pixel = pixels_of(found)[TOP + edge, LEFT + index * width + width // 2]
            assert tuple(pixel) == theme_of("magma").background


def test_the_first_day_and_new_year_have_their_year(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    text = Canvas.text

    def note(canvas: Canvas, x: float, y: float, shown: str, colour: Colour) -> None:
        drawn.append(shown)
        text(canvas, x, y, shown, colour)

    monkeypatch.setattr(Canvas, "text", note)
    cells = [(date(2025, 12, 30) + timedelta(days=index), 0, 0, 1.0) for index in range(4)]
    draw(map_of(cells, "dog", UTC), "png")
    assert [each for each in drawn if "-" in each] == ["2025-12-30", "12-31", "2026-01-01", "01-02"]


def test_polar_night_has_no_sunrise_and_far_zones_have_theirs_at_another_date() -> None:
    cells = [(date(2026, 12, 20) + timedelta(days=index), 0, 0, 1.0) for index in range(3)]
    assert sun_rows(map_of(cells, "dog", UTC, Place(69.65, 18.96)), SUNRISE_DEG) == []
    # in Kiribati of UTC+14 the sun rises on the evening before of UTC
    rows = sun_rows(map_of(cells, "dog", ZoneInfo("Pacific/Kiritimati"), Place(1.87, -157.4)), SUNRISE_DEG)
    by_day = {day: [hour for other, hour in rows if other == day] for day, _ in rows}
    for day in (date(2026, 12, 20), date(2026, 12, 21), date(2026, 12, 22)):
        assert sorted(by_day[day]) == pytest.approx([6.5, 18.45], abs=0.3)


@pytest.mark.parametrize("days", [1, 40, 300, 2200])
def test_any_number_of_days_is_drawn(days) -> None:
    cells = [(FIRST + timedelta(days=index), 12, index % 7, 1.0) for index in range(days)]
    pixels = pixels_of(map_of(cells, "犬 \x1b[2J" * 200, BERLIN, Place(53.9, 9.1)))
    assert pixels.shape[1] == max(1200, days + LEFT + 112)


def test_no_days_and_too_many_are_one_line() -> None:
    with pytest.raises(PictureError, match="nothing was recorded"):
        map_of([], "dog", UTC)
    far = [(FIRST, 0, 1, 1.0), (FIRST + timedelta(days=MOST_DAYS), 0, 1, 1.0)]
    with pytest.raises(PictureError, match=f"at most {MOST_DAYS}"):
        map_of(far, "dog", UTC)


def test_a_query_draws_it(place, out, archive, tmp_path) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 10), Heard("dog", 20)])
    picture = tmp_path / "dogs.webp"
    options = ("--picture", picture, "--label", "dog", "--zone", "Europe/Berlin", "--place", "53.9,9.1")
    assert archive("query", out, *options) == (0, [f"{picture}: 2 events in 1.0 h, 1 day"], [])
    with Image.open(picture) as drawn:
        assert drawn.format == "WEBP"
    before = picture.read_bytes()
    status, _, errors = archive("query", out, *options)
    assert (status, len(errors)) == (2, 1)
    assert archive("query", out, *options, "--overwrite")[0] == 0
    assert picture.read_bytes() == before
