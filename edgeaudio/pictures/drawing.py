"""Layout of a picture: the spectrogram, its axes, the scale of its colours, and marks above it.

Owns: what is where, for every size; what does not fit is left out. Does not know: samples, FFTs, file formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeaudio.pictures.brightness import Shades
from edgeaudio.pictures.canvas import Canvas
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.palettes import PaletteName, palette
from edgeaudio.pictures.themes import theme_of
from edgeaudio.pictures.ticks import Begin, Tick, frequency_ticks, time_ticks, unit_of

_MAX_LANES = 3  # of marks that overlap; of the others only the extent is drawn
MAX_MARKS = 200
_LEAST_STEP = 0.08  # of the upright axis: more labels would not be read


@dataclass(frozen=True, slots=True)
class Mark:
    """An event: where it begins and ends in the picture, and its label, which may be any text."""

    label: str
    begin_s: float
    end_s: float | None = None  # None: it goes on


class Layout:
    """Where everything is in a picture of one size."""

    def __init__(self, width: int, height: int, name: PaletteName, axis: FrequencyAxis, marks: Sequence[Mark]) -> None:
        self._theme = theme_of(name)
        self._colours = palette(name)
        self._axis = axis
        self._marks = sorted(marks, key=lambda mark: mark.begin_s)[:MAX_MARKS]
        text_px = min(max(10.0, min(width / 36, height / 20)), 40.0)
        self.canvas = canvas = Canvas(width, height, self._theme.background, text_px)
        self._unit = unit = canvas.digit_height
        # axes and colour scale need so much that they leave something to label
        self._has_axes = width >= 16 * unit and height >= 9 * unit
        self._has_scale = width >= 50 * unit and height >= 14 * unit
        left = top = bottom = right = 0.0
        if self._has_axes:
            ticks = frequency_ticks(axis, self._least_frequency_step(height))
            widest = max(canvas.text_width(text) for text in ("kHz", *(tick.text for tick in ticks)))
            left = widest + 1.4 * unit
            top, bottom, right = 2.2 * unit, 2.6 * unit, 1.4 * unit
        if self._has_scale:
            right = canvas.text_width("-100") + 3.2 * unit
        self._has_labels = self._has_axes and bool(self._marks)
        if self._has_labels:
            top += (min(_MAX_LANES, _depth(self._marks)) - 1) * self._lane
        self.x, self.y = round(left), round(top)
        self.width, self.height = width - self.x - round(right), height - self.y - round(bottom)

    @property
    def _lane(self) -> float:
        return 2.0 * self._unit

    def _least_frequency_step(self, height: int) -> float:
        return max(2 * self._unit / height, _LEAST_STEP)

    def draw(self, shades: Shades, duration_s: float, begin: Begin) -> Canvas:
        """Draw everything: shades `(height, width)` of the plot from the lowest row on, of `duration_s`."""
        self.canvas.paste(self.x, self.y, self._pixels(shades))
        if self._has_axes:
            self._draw_frequencies()
            self._draw_times(duration_s, begin)
        if shades.silent and self._has_axes:
            self._draw_silence(all_gaps=bool(shades.gaps.all()))
        elif self._has_scale:
            self._draw_scale(shades)
        self._draw_marks(duration_s)
        return self.canvas

    def _pixels(self, shades: Shades) -> NDArray[np.uint8]:
        pixels = self._colours[shades.steps]
        if shades.gaps.any():
            diagonals = np.add.outer(np.arange(len(shades.gaps)), np.arange(shades.gaps.shape[1]))
            stripes = np.array(self._theme.gap, np.uint8)[(diagonals // max(3, self._unit // 2)) % 2]
            pixels[shades.gaps] = stripes[shades.gaps]
        return pixels[::-1]

    def _draw_frequencies(self) -> None:
        canvas, theme, unit = self.canvas, self._theme, self._unit
        for tick in frequency_ticks(self._axis, self._least_frequency_step(self.height)):
            y = self.y + (1 - tick.place) * (self.height - 1)
            canvas.line(self.x - 0.5 * unit, y, self.x - 1, y, theme.line)
            canvas.text(self.x - 0.8 * unit - canvas.text_width(tick.text), y - unit / 2, tick.text, theme.text)
        canvas.text(self.x - 0.8 * unit - canvas.text_width("kHz"), self.y - 1.9 * unit, "kHz", theme.text)

    def _draw_times(self, duration_s: float, begin: Begin) -> None:
        canvas, theme, unit = self.canvas, self._theme, self._unit
        below = self.y + self.height

        def room(text: str) -> float:
            return (canvas.text_width(text) + 1.6 * unit) / self.width

        ticks = time_ticks(duration_s, begin, room)
        unit_text = unit_of(duration_s, begin)
        label = ticks[-1].text if ticks else ""
        clear = max(0.8 * unit, canvas.text_width(label) / 2 + 0.5 * unit)
        unit_x = min(self.x + self.width + clear, canvas.width - canvas.text_width(unit_text) - 0.3 * unit)
        canvas.text(unit_x, below + 1.1 * unit, unit_text, theme.text)
        for tick in ticks:
            x = self.x + tick.place * (self.width - 1)
            canvas.line(x, below, x, below + 0.5 * unit, theme.line)
            self._label_time(x, below + 1.1 * unit, tick, unit_x - 0.3 * unit)

    def _label_time(self, x: float, y: float, tick: Tick, limit: float) -> None:
        width = self.canvas.text_width(tick.text)
        at = max(0.0, x - width / 2)
        if at + width <= limit:
            self.canvas.text(at, y, tick.text, self._theme.text)

    def _draw_scale(self, shades: Shades) -> None:
        canvas, theme, unit = self.canvas, self._theme, self._unit
        x, width = self.x + self.width + unit, round(0.7 * unit)
        steps = np.linspace(255, 0, self.height).round().astype(np.uint8)
        canvas.paste(round(x), self.y, np.repeat(self._colours[steps][:, None], width, axis=1))
        text_x = round(x) + width + 0.5 * unit
        canvas.text(text_x, self.y, f"{shades.high_dbfs:.0f}", theme.text)
        canvas.text(text_x, self.y + self.height - unit, f"{shades.low_dbfs:.0f}", theme.text)
        canvas.text(canvas.width - canvas.text_width("dBFS") - 0.4 * unit, self.y - 1.9 * unit, "dBFS", theme.text)

    def _draw_silence(self, *, all_gaps: bool) -> None:
        canvas = self.canvas
        text = canvas.fitted("no sound" if all_gaps else "digital silence", self.width)
        x = self.x + (self.width - canvas.text_width(text)) / 2
        canvas.text(x, self.y + (self.height - self._unit) / 2, text, self._theme.text)

    def _draw_marks(self, duration_s: float) -> None:
        taken = [float("-inf")] * _MAX_LANES  # up to which pixel
        for mark in self._marks:
            end_s = duration_s if mark.end_s is None else min(mark.end_s, duration_s)
            if mark.begin_s >= duration_s or end_s < 0:
                continue
            begin = self.x + max(0.0, mark.begin_s) / duration_s * (self.width - 1)
            end = self.x + end_s / duration_s * (self.width - 1)
            lane = next((lane for lane, pixel in enumerate(taken) if begin >= pixel), None)
            if lane is not None:
                taken[lane] = max(end, self._label(mark.label, begin, lane)) + self._unit
            self._draw_extent(begin, end, lane or 0, is_open=mark.end_s is None)

    def _label(self, label: str, begin: float, lane: int) -> float:
        """Write the label above the beginning of its extent, or to the left of it; return where it ends."""
        if not self._has_labels:
            return begin
        right = self.x + self.width
        text = self.canvas.fitted(label, self.width)
        x = max(self.x, min(begin, right - self.canvas.text_width(text)))
        self.canvas.text(x, self.y - 1.9 * self._unit - lane * self._lane, text, self._theme.text)
        return x + self.canvas.text_width(text)

    def _draw_extent(self, begin: float, end: float, lane: int, *, is_open: bool) -> None:
        canvas, colour, unit = self.canvas, self._theme.mark, self._unit
        thick = max(1, unit // 6)
        for x in (begin,) if is_open else (begin, end):
            for y in range(self.y, self.y + self.height, 2 * unit):  # dashed: what is under it stays visible
                canvas.line(x, y, x, min(y + unit, self.y + self.height - 1), colour, thick)
        y0 = self.y - 2 * thick - lane * self._lane
        canvas.rectangle(begin, y0, end, y0 + thick, colour)


def _depth(marks: Sequence[Mark]) -> int:
    """Return the most marks that overlap, labels left out of account; at least 1."""
    edges = sorted(
        edge for mark in marks for edge in ((mark.begin_s, 1), (float("inf") if mark.end_s is None else mark.end_s, -1))
    )
    depth = most = 0
    for _, step in edges:
        depth += step
        most = max(most, depth)
    return max(1, most)
