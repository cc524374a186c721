"""Days and hours as a picture: how many events an hour of listening, where nothing was recorded, and the sun.

Owns: what is where in the picture. Does not know: results, SQL; a cell comes as a count and the hours listened.

Days go to the right, hours of the zone's clock upwards. A cell is coloured by events an hour of listening, so that
half an hour counts as such. Striped cells were not recorded: the darkest colour means that nothing was heard. White
lines are sunrise and sunset, grey ones the dawn and dusk of civil twilight; they jump with the clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeaudio.archive.sun import CIVIL_DEG, SUNRISE_DEG, Passage, Place, passage
from edgeaudio.pictures.canvas import Canvas, Colour
from edgeaudio.pictures.options import ImageFormat, PictureError
from edgeaudio.pictures.palettes import PaletteName, palette
from edgeaudio.pictures.themes import theme_of

MOST_DAYS: Final = 7000  # a column has a pixel at least
WIDTH: Final = 1200  # pixels; of more days than fit there it is wider
HOUR_PX: Final = 20
_SUN_EDGE_PX: Final = 1  # on both sides of a line
_TEXT_PX: Final = 20.0
_HOURS = 24
_QUALITY: Final[dict[ImageFormat, int]] = {"png": 256, "webp": 85, "jpeg": 88}


@dataclass(frozen=True, slots=True)
class Map:
    """What is drawn."""

    title: str
    first: date
    counts: NDArray[np.int64]  # (days, 24)
    heard_h: NDArray[np.float64]  # (days, 24); 0: not recorded
    zone: tzinfo
    place: Place | None = None  # whose sun is drawn

    @property
    def rates(self) -> NDArray[np.float64]:
        """Events an hour of listening, `(days, 24)`; NaN where nothing was recorded."""
        rates = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, self.heard_h, out=rates, where=self.heard_h > 0)
        return rates


def map_of(cells: Iterable[tuple[date, int, int, float]], title: str, zone: tzinfo, place: Place | None = None) -> Map:
    """Return the map of cells: day, hour, count, hours listened. Raises PictureError if there are none, or too many."""
    found = {(day, hour): (count, heard) for day, hour, count, heard in cells}
    if not found:
        raise PictureError("nothing was recorded in that time; ask for a longer one")
    first, last = min(day for day, _ in found), max(day for day, _ in found)
    days = (last - first).days + 1
    if days > MOST_DAYS:
        raise PictureError(f"a picture of {days} days: it has at most {MOST_DAYS}; ask for less by --since and --until")
    counts, heard_h = np.zeros((days, _HOURS), np.int64), np.zeros((days, _HOURS))
    for (day, hour), (count, heard) in found.items():
        counts[(day - first).days, hour], heard_h[(day - first).days, hour] = count, heard
    return Map(title, first, counts, heard_h, zone, place)


def draw(found: Map, image_format: ImageFormat, palette_name: PaletteName = "magma") -> bytes:
    """Return the picture as a file. Raises PictureError."""
    return _Drawing(found, palette_name).draw().encoded(image_format, _QUALITY[image_format])


def sun_rows(found: Map, elevation_deg: float) -> list[tuple[date, float]]:
    """Return days and hours of the zone's clock at which the sun passes an elevation; none where it does not."""
    rows: list[tuple[date, float]] = []
    if found.place is None:
        return rows
    for index in range(-1, len(found.counts) + 1):  # around midnight a passage is on the day before or after
        passing = passage(found.first + timedelta(days=index), found.place, elevation_deg)
        if isinstance(passing, Passage):
            rows += [_on_clock(at, found.zone) for at in (passing.rises, passing.sets)]
    return rows


def _on_clock(at: datetime, zone: tzinfo) -> tuple[date, float]:
    local = at.astimezone(UTC).astimezone(zone)
    return local.date(), local.hour + local.minute / 60 + local.second / 3600


class _Drawing:
    """One picture."""

    def __init__(self, found: Map, palette_name: PaletteName) -> None:
        self._found = found
        self._days = len(found.counts)
        self._theme = theme_of(palette_name)
        self._colours = palette(palette_name)
        unit = round(_TEXT_PX * 0.7)
        left, right = 4 * unit, 8 * unit
        self._width, self._height = max(self._days, WIDTH - left - right), _HOURS * HOUR_PX
        self._day_px = self._width / self._days
        self._x, self._y, self._unit = left, 3 * unit, unit
        self._canvas = Canvas(
            left + self._width + right, self._y + self._height + 6 * unit, self._theme.background, _TEXT_PX
        )

    def draw(self) -> Canvas:
        rates = self._found.rates
        most = float(np.nanmax(rates, initial=0.0))
        self._canvas.paste(self._x, self._y, self._pixels(rates, most))
        for elevation_deg, colour in ((CIVIL_DEG, self._theme.line), (SUNRISE_DEG, self._theme.mark)):
            self._draw_sun(elevation_deg, colour)
        self._draw_hours()
        self._draw_days()
        self._draw_scale(most)
        self._draw_texts()
        return self._canvas

    def _pixels(self, rates: NDArray[np.float64], most: float) -> NDArray[np.uint8]:
        """Return the cells, hour 0 at the bottom."""
        recorded = ~np.isnan(rates)
        steps = np.zeros(rates.shape, np.intp)
        if most > 0:  # what was heard at all is told from nothing
            shown = np.rint(np.nan_to_num(rates) / most * 255).astype(np.intp)
            steps = np.where(np.nan_to_num(rates) > 0, np.clip(shown, 24, 255), 0)
        cells = self._colours[steps]
        days = np.arange(self._width) * self._days // self._width  # of each column of pixels
        large = np.repeat(cells[days], HOUR_PX, axis=1).transpose(1, 0, 2)
        missing = np.repeat(~recorded[days], HOUR_PX, axis=1).T
        diagonals = np.add.outer(np.arange(missing.shape[0]), np.arange(missing.shape[1]))
        stripes = np.array(self._theme.gap, np.uint8)[(diagonals // 4) % 2]
        large = np.where(missing[..., None], stripes, large)
        return np.ascontiguousarray(large[::-1])

    def _draw_sun(self, elevation_deg: float, colour: Colour) -> None:
        rows = sun_rows(self._found, elevation_deg)
        # all edges first: without a dark one a line is lost on pale cells
        for edge_px, drawn in ((_SUN_EDGE_PX, self._theme.background), (0, colour)):
            for day, hour in rows:
                index = (day - self._found.first).days
                if 0 <= index < self._days:
                    x, end, y = round(self._column(index)), round(self._column(index + 1)) - 1, self._row(hour)
                    top, bottom = max(self._y, y - edge_px), min(self._y + self._height - 1, y + 1 + edge_px)
                    self._canvas.rectangle(x, top, end, max(bottom, y + 1), drawn)

    def _column(self, index: int) -> float:
        return self._x + index * self._day_px

    def _row(self, hour: float) -> float:
        return self._y + round((_HOURS - hour) * HOUR_PX) - 1

    def _draw_hours(self) -> None:
        canvas, unit = self._canvas, self._unit
        for hour in range(0, _HOURS + 1, 3):
            y, text = self._row(hour), f"{hour}"
            canvas.line(self._x - unit / 2, y, self._x - 1, y, self._theme.line)
            canvas.text(self._x - unit - canvas.text_width(text), y - unit / 2, text, self._theme.text)

    def _draw_days(self) -> None:
        canvas, unit, below = self._canvas, self._unit, self._y + self._height
        taken = -1.0
        for index, text in self._ticks():
            x = self._column(index)
            canvas.line(x, below, x, below + unit / 2, self._theme.line)
            if x >= taken:
                canvas.text(x, below + unit, text, self._theme.text)
                taken = x + canvas.text_width(text) + unit

    def _ticks(self) -> list[tuple[int, str]]:
        """Return days that have a mark: years, months or days, as many as there is room for."""
        days = [self._found.first + timedelta(days=index) for index in range(self._days)]
        if self._days > 900:
            years = [(index, f"{day:%Y}") for index, day in enumerate(days) if (day.month, day.day) == (1, 1)]
            return years or [(0, f"{days[0]:%Y-%m}")]
        if self._days > 62:
            room = (self._canvas.text_width("0000-00") + self._unit) / (28 * self._day_px)
            step = next(step for step in (1, 2, 3, 6, 12) if step >= room or step == 12)
            firsts = [(index, day) for index, day in enumerate(days) if day.day == 1]
            return [(index, f"{day:%Y-%m}") for index, day in firsts if (day.month - 1) % step == 0]
        new_years = {0, *(index for index, day in enumerate(days) if (day.month, day.day) == (1, 1))}
        return [(index, f"{day}" if index in new_years else f"{day:%m-%d}") for index, day in enumerate(days)]

    def _draw_scale(self, most: float) -> None:
        canvas, unit = self._canvas, self._unit
        x, width = self._x + self._width + unit, unit
        steps = np.linspace(255, 0, self._height).round().astype(np.intp)
        canvas.paste(x, self._y, np.repeat(self._colours[steps][:, None], width, axis=1))
        canvas.text(x + 1.5 * unit, self._y, f"{most:.3g}", self._theme.text)
        canvas.text(x + 1.5 * unit, self._y + self._height - unit, "0", self._theme.text)
        canvas.text(x + 1.5 * unit, self._y + 1.5 * unit, "an hour", self._theme.text)

    def _draw_texts(self) -> None:
        canvas, unit, theme = self._canvas, self._unit, self._theme
        room = canvas.width - self._x - unit
        canvas.text(self._x, unit, canvas.fitted(self._found.title, room), theme.text)
        y, x = self._y + self._height + 4 * unit, float(self._x)
        legend: list[tuple[str, Colour]] = [("not recorded", theme.gap[0])]
        if self._found.place is not None:
            legend += [("sunrise, sunset", theme.mark), ("dawn, dusk", theme.line)]
        for text, colour in legend:
            canvas.rectangle(x, y, x + unit, y + unit, colour)
            if text == "not recorded":
                for step in range(0, unit, 4):
                    canvas.line(x + step, y + unit, x + unit, y + step, theme.gap[1])
            canvas.text(x + 1.6 * unit, y, text, theme.text)
            x += canvas.text_width(text) + 4 * unit
