"""Layout of a film's pictures: what stands still, and where the rest is.

Owns: the axis, the colours' scale, title, clock and level; what does not fit is left out.
Does not know: what scrolls (film_picture.py), samples, time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeaudio.pictures.canvas import Canvas
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.palettes import palette
from edgeaudio.pictures.themes import theme_of
from edgeaudio.pictures.ticks import frequency_ticks
from edgeaudio.pictures.yuv import Planes, blank, planes_of, put

LANES = 3  # of detections that overlap; of others only the extent is drawn
_BLACK = (0, 0, 0)
_LEAST_STEP = 0.08  # of the upright axis: more labels would not be read
METER_LOW_DBFS = -100.0


def _even(value: float) -> int:
    return 2 * round(value / 2)


class FilmLayout:
    """Where everything is, in pixels of the whole picture; all of it is even. `planes` is the picture."""

    def __init__(self, look: FilmLook, axis: FrequencyAxis) -> None:
        self.theme = theme_of(look.palette)
        self.colours = palette(look.palette)
        self.planes = blank(look.width, look.height, _BLACK if look.aspect else self.theme.background)
        width, height = _inside(look)
        self._x, self._y = (look.width - width) // 4 * 2, (look.height - height) // 4 * 2
        self.text_px = min(max(10.0, min(width / 56, height / 28)), 44.0)
        canvas = Canvas(width, height, self.theme.background, self.text_px)
        self.unit = unit = canvas.digit_height
        self.has_text = width >= 22 * unit and height >= 13 * unit
        self._has_scale = width >= 50 * unit and height >= 16 * unit
        left = right = top = 0
        self.tick_height = self.lane_height = 0
        ticks = frequency_ticks(axis, max(2 * unit / height, _LEAST_STEP))
        if self.has_text:
            widest = max(canvas.text_width(text) for text in ("kHz", *(tick.text for tick in ticks)))
            left, right, top = _even(widest + 1.6 * unit), _even(1.4 * unit), _even(2.8 * unit)
            self.tick_height = _even(2.4 * unit)
            self.lane_height = _even(2.2 * unit) if look.has_marks else 0
        if self._has_scale:
            right = _even(canvas.text_width("-100") + 3.2 * unit)
        self.lanes_height = LANES * self.lane_height
        # of what scrolls: lanes, plot and the ticks of the time
        self.scroll_x, self.scroll_y = self._x + left, self._y + top
        self.scroll_width, self.scroll_height = (width - left - right) // 2 * 2, (height - top) // 2 * 2
        self.plot_height = self.scroll_height - self.lanes_height - self.tick_height
        self._canvas, self._width = canvas, width
        self._fields: dict[str, str] = {}
        self._meter_x = self._meter_y = self._meter_width = self._meter_height = 0
        if self.has_text:
            self._draw_axis(axis)
            self._place_fields(look)
        if self._has_scale:
            self._draw_scale()
        put(self.planes, self._x, self._y, planes_of(canvas.pixels))
        self._canvas = Canvas(2, 2, self.theme.background, self.text_px)  # measures texts; the large one is done with
        self._meter = (blank(self._meter_width, self._meter_height, self.theme.gap[0]), self._meter_on())

    @property
    def _plot_y(self) -> int:
        """Upper edge of the plot, within the inner picture."""
        return self.scroll_y - self._y + self.lanes_height

    def _draw_axis(self, axis: FrequencyAxis) -> None:
        canvas, theme, unit = self._canvas, self.theme, self.unit
        x = self.scroll_x - self._x
        for tick in frequency_ticks(axis, max(2 * unit / self.plot_height, _LEAST_STEP)):
            y = self._plot_y + (1 - tick.place) * (self.plot_height - 1)
            canvas.line(x - 0.5 * unit, y, x - 1, y, theme.line)
            canvas.text(x - 0.8 * unit - canvas.text_width(tick.text), y - unit / 2, tick.text, theme.text)
        y = self._plot_y - 1.9 * unit
        canvas.text(x - 0.8 * unit - canvas.text_width("kHz"), y, "kHz", theme.text)

    def _draw_scale(self) -> None:
        canvas, unit = self._canvas, self.unit
        x, width = self.scroll_x - self._x + self.scroll_width + unit, round(0.7 * unit)
        steps = np.linspace(255, 0, self.plot_height).round().astype(np.uint8)
        canvas.paste(round(x), self._plot_y, np.repeat(self.colours[steps][:, None], width, axis=1))
        canvas.text(
            canvas.width - canvas.text_width("dBFS") - 0.4 * unit, self._plot_y - 1.9 * unit, "dBFS", self.theme.text
        )
        x = _even(x + width + 0.5 * unit)
        self._scale_x, self._scale_width = x, (canvas.width - x) // 2 * 2

    def _place_fields(self, look: FilmLook) -> None:
        """Divide the top: level to the left, clock to the right, the title between."""
        canvas, unit = self._canvas, self.unit
        self._text_y, self._text_height = _even(0.5 * unit), _even(1.9 * unit)
        x = self.scroll_x - self._x
        self._clock_width = min(_even(canvas.text_width("2000-00-00 00:00:00 UTC+00") + unit), canvas.width // 2)
        level_width = canvas.text_width("-100 dBFS") + 0.8 * unit
        room = canvas.width - x - self._clock_width - level_width
        if room >= 6 * unit:
            self._meter_width = _even(min(12 * unit, room / 2))
            self._meter_x, self._meter_y = self._x + x, self._y + _even(1.15 * unit)
            self._meter_height = max(2, _even(0.6 * unit))
        self._level_x = _even(x + self._meter_width + 0.6 * unit)
        self._level_width = _even(level_width)
        title_x = self._level_x + self._level_width + unit
        title_width = canvas.width - title_x - self._clock_width - unit
        if title_width > 4 * unit:
            title = canvas.fitted(look.title, title_width)
            centre = title_x + (title_width - canvas.text_width(title)) / 2
            canvas.text(centre, self._text_y + 0.45 * unit, title, self.theme.text)

    def _meter_on(self) -> Planes:
        """Return the level's bar at its longest."""
        steps = np.linspace(90, 235, self._meter_width).astype(np.uint8)
        colours = self.colours[steps if self.theme.background < self.theme.text else 255 - steps // 2]
        return planes_of(np.repeat(colours[None], self._meter_height, axis=0))

    def show_clock(self, text: str) -> None:
        """Write the clock, a text of digits."""
        if self.has_text:
            x = self._width - self._clock_width
            self._show("clock", text, x, self._text_y, self._clock_width, align_right=True)

    def show_level(self, level_dbfs: float | None, text: str) -> None:
        """Show the level as a bar, none if it is None, and a text beside it."""
        if not self.has_text:
            return
        self._show("level", text, self._level_x, self._text_y, self._level_width)
        if self._meter_width:
            share = 0.0 if level_dbfs is None else min(max(1 - level_dbfs / METER_LOW_DBFS, 0.0), 1.0)
            lit = _even(share * self._meter_width)
            off, on = self._meter
            put(self.planes, self._meter_x, self._meter_y, off)
            put(self.planes, self._meter_x, self._meter_y, _left(on, lit))

    def show_range(self, low_dbfs: float, high_dbfs: float) -> None:
        """Write the levels of the darkest and of the brightest colour."""
        if self._has_scale:
            begin, end = self._plot_y - 0.45 * self.unit, self._plot_y + self.plot_height - 1.45 * self.unit
            self._show("high", f"{high_dbfs:.0f}", self._scale_x, _even(begin), self._scale_width)
            self._show("low", f"{low_dbfs:.0f}", self._scale_x, _even(end), self._scale_width)

    def _show(self, name: str, text: str, x: int, y: int, width: int, *, align_right: bool = False) -> None:
        """Write a text if it is another one than before; `x` and `y` within the inner picture."""
        if self._fields.get(name) == text or width <= 0:
            return
        self._fields[name] = text
        put(self.planes, self._x + x, self._y + y, planes_of(self.text(text, width, self._text_height, align_right)))

    def text(self, text: str, width: int, height: int, align_right: bool = False) -> NDArray[np.uint8]:
        """Return a text as RGB pixels `(height, width, 3)`."""
        canvas = Canvas(width, height, self.theme.background, self.text_px)
        line = canvas.fitted(text, width)
        x = width - canvas.text_width(line) - 0.5 * self.unit if align_right else 0
        canvas.text(x, 0.45 * self.unit, line, self.theme.text)
        return canvas.pixels

    def text_width(self, text: str) -> float:
        """Return the width of a text in pixels."""
        return self._canvas.text_width(text)

    def fitted(self, text: str, width: float) -> str:
        """Return a text as one line of at most a width."""
        return self._canvas.fitted(text, width)


def _inside(look: FilmLook) -> tuple[int, int]:
    """Return the sides of the picture between the black bars."""
    if look.aspect is None:
        return look.width, look.height
    width = min(look.width, _even(look.height * look.aspect))
    return width, min(look.height, _even(look.width / look.aspect))


def _left(planes: Planes, width: int) -> Planes:
    return Planes(planes.y[:, :width], planes.u[:, : width // 2], planes.v[:, : width // 2])
