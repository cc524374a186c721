"""The pictures of a film: a spectrogram that scrolls, with what was detected in it and the time below.

Owns: what scrolls. Does not know: samples, clocks, where pictures go; what stands still (film_layout.py).

All that scrolls is in one ring of columns. A column is drawn once; what becomes known later, such as the label of a
detection, is drawn into the columns of its time. A frame is a copy of the last columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from edgeaudio.pictures.column_ring import ColumnRing
from edgeaudio.pictures.film_layout import LANES, FilmLayout
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.running_range import RunningRange
from edgeaudio.pictures.scrolling import Columns
from edgeaudio.pictures.ticks import Begin, first_tick_s, time_step_s, time_text
from edgeaudio.pictures.yuv import Planes, yuv

AHEAD_S = 1.0  # of columns that may be drawn before they are shown
_MORE = 64  # columns; the last half frame of a sound
_MAX_MARKS = 100  # that go on at once; no more are drawn
# shares of the picture's width
_LONGEST_LABEL = 0.35
_LABEL_AGAIN = 0.8  # after which the label of what goes on is drawn once more
_FOREVER = 1 << 62  # a column
_EPSILON = 1e-6  # of a column


@dataclass(slots=True)
class _Open:
    """A detection that goes on."""

    label: str
    lane: int
    has_lane: bool  # False: none was free; it has a bar alone
    label_first: int  # column
    label_end: int = 0


class FilmPicture:
    """Pictures of one film. Times are seconds since its beginning."""

    def __init__(self, look: FilmLook, axis: FrequencyAxis, begin: Begin, expected_s: float | None = None) -> None:
        """`begin`: what the ticks of the time call the beginning; `expected_s`: the film's length, if it is known."""
        self.layout = layout = FilmLayout(look, axis)
        self.column_s = look.seconds / layout.scroll_width
        self.n_rows = layout.plot_height
        self.next = 0  # columns below this are drawn
        self._range = RunningRange(look.range_db, look.gain_db, self.column_s)
        self._background = yuv(np.array(layout.theme.background, np.uint8))
        self._line, self._mark = (yuv(np.array(colour, np.uint8)) for colour in (layout.theme.line, layout.theme.mark))
        self._gap = yuv(np.array(layout.theme.gap, np.uint8))
        self._colours = yuv(layout.colours)
        width = layout.scroll_width
        capacity = width + 2 * round((AHEAD_S / self.column_s + _MORE) / 2)
        self._most = capacity - width
        self._ring = ColumnRing(layout.scroll_height, capacity, self._background)
        self._open: dict[str, _Open] = {}
        self._taken = [-width] * LANES  # up to which column a lane has something
        self._begin, self._window_s = begin, look.seconds
        # an axis of a recording has the form that its end needs
        self._named_s = max(look.seconds, expected_s or 60.0)
        self._tick_s = time_step_s(look.seconds, begin, self._tick_room) if layout.has_text else 0.0
        self._next_tick_s = first_tick_s(self._tick_s, begin) if self._tick_s else 0.0
        self.layout.show_range(self._range.low_dbfs, self._range.high_dbfs)

    def add(self, columns: Columns) -> None:
        """Draw columns, which follow those before."""
        for start in range(0, len(columns.powers), self._most):
            self._add(columns.first + start, columns.powers[start : start + self._most])

    def begin_mark(self, mark_id: str, label: str, at_s: float) -> None:
        """Draw the beginning of a detection, from its time on, and its label."""
        layout = self.layout
        if mark_id in self._open or len(self._open) >= _MAX_MARKS:
            return
        first = max(self._column(at_s), self.next - layout.scroll_width)
        pixels = self._label_pixels(label)
        # all of the label is seen at once: what began just now has it to the left
        left = max(min(first, self.next - pixels.shape[1]), self.next - layout.scroll_width)
        lane = next((lane for lane, taken in enumerate(self._taken) if left >= taken), None)
        opened = self._open[mark_id] = _Open(label, LANES - 1 if lane is None else lane, lane is not None, left)
        if lane is not None:
            self._draw_label(opened, left, pixels)
            self._taken[lane] = _FOREVER
        self._draw_edge(first)
        self._draw_bar(opened.lane, first, self.next, self._mark)

    def end_mark(self, mark_id: str, at_s: float) -> None:
        """Draw the end of a detection."""
        opened = self._open.pop(mark_id, None)
        if opened is None:
            return
        end = max(self._column(at_s), self.next - self.layout.scroll_width)
        self._draw_bar(opened.lane, end, self.next, self._background)
        self._draw_edge(end)
        if opened.has_lane:
            self._taken[opened.lane] = max(opened.label_end, end + 1)

    def rename(self, begin: Begin) -> None:
        """Call the film's beginning otherwise, as after the clock was set; what is drawn stays."""
        self._begin = begin
        if self._tick_s:
            drawn_s = self.next * self.column_s
            ahead_s = first_tick_s(self._tick_s, begin)
            self._next_tick_s = ahead_s + max(0, ceil((drawn_s - ahead_s) / self._tick_s)) * self._tick_s

    def frame(self, at_s: float) -> Planes:
        """Return the picture at a time whose columns were drawn. The next call changes it."""
        layout = self.layout
        first = self._column(at_s) - layout.scroll_width
        self._ring.copy(first, layout.scroll_width, layout.planes, layout.scroll_x, layout.scroll_y)
        return layout.planes

    def _column(self, at_s: float) -> int:
        return int(at_s / self.column_s + _EPSILON)

    def _add(self, first: int, powers: NDArray[np.float32]) -> None:
        layout, n_columns = self.layout, len(powers)
        pixels = self._colours[self._range.steps(first, powers)]
        gaps = np.isnan(powers[:, 0])
        if gaps.any():
            pixels[gaps] = self._stripes(first, n_columns)[gaps]
        height = layout.scroll_height
        whole = np.empty((height, n_columns, 3), np.uint8)
        whole[:] = self._background
        plot = slice(layout.lanes_height, layout.lanes_height + layout.plot_height)
        whole[plot] = pixels.transpose(1, 0, 2)[::-1]
        for opened in self._open.values():
            row = self._bar_row(opened.lane)
            whole[row : row + self._bar_height] = self._mark
        self._ring.draw(first, 0, whole)
        self.next = first + n_columns
        self._repeat_labels()
        for tick_s in self._due_ticks():
            self._draw_tick(tick_s)
        self.layout.show_range(self._range.low_dbfs, self._range.high_dbfs)

    def _stripes(self, first: int, n_columns: int) -> NDArray[np.uint8]:
        """Return the pixels of columns without sound, `(n, n_rows, 3)`."""
        diagonals = np.add.outer(np.arange(first, first + n_columns), np.arange(self.n_rows))
        stripes: NDArray[np.uint8] = self._gap[(diagonals // max(3, self.layout.unit // 2)) % 2]
        return stripes

    # --- detections ---

    @property
    def _bar_height(self) -> int:
        return max(2, 2 * round(self.layout.unit / 10))

    def _lane_row(self, lane: int) -> int:
        """Return the upper row of a lane; the first is the lowest."""
        return self.layout.lanes_height - (lane + 1) * self.layout.lane_height

    def _bar_row(self, lane: int) -> int:
        if self.layout.lane_height:
            return self._lane_row(lane) + self.layout.lane_height - self._bar_height
        return lane * 2 * self._bar_height

    def _label_pixels(self, label: str) -> NDArray[np.uint8]:
        """Return a label as Y, U, V `(height, width, 3)`; without rows if there is no room for labels."""
        layout = self.layout
        text = layout.fitted(label, _LONGEST_LABEL * layout.scroll_width)
        width = 2 * round(layout.text_width(text) / 2 + 1)
        if not layout.lane_height:
            return np.empty((0, 0, 3), np.uint8)
        return yuv(layout.text(text, width, layout.lane_height - self._bar_height))

    def _draw_label(self, opened: _Open, first: int, pixels: NDArray[np.uint8]) -> None:
        if len(pixels):
            self._ring.draw(first, self._lane_row(opened.lane), pixels)
        opened.label_first, opened.label_end = first, first + pixels.shape[1] + self.layout.unit

    def _repeat_labels(self) -> None:
        """Draw the labels of what goes on once more, before they scroll out of the picture."""
        for opened in self._open.values():
            if opened.has_lane and self.next - opened.label_first > _LABEL_AGAIN * self.layout.scroll_width:
                pixels = self._label_pixels(opened.label)
                self._draw_label(opened, max(self.next - pixels.shape[1], opened.label_end), pixels)

    def _draw_bar(self, lane: int, first: int, end: int, colour: NDArray[np.uint8]) -> None:
        if end <= first or (not self.layout.lane_height and colour is self._background):
            return  # a small picture has its bars in the plot, where they stay
        for start in range(first, end, self._most):
            n_columns = min(end - start, self._most)
            self._ring.draw(start, self._bar_row(lane), np.tile(colour, (self._bar_height, n_columns, 1)))

    def _draw_edge(self, column: int) -> None:
        """Draw a dashed line through the plot: what is under it stays visible."""
        layout, dash = self.layout, 2 * max(2, self.layout.unit // 2)
        if not self.next - layout.scroll_width <= column < self.next:
            return
        pixels = np.tile(self._mark, (dash, max(1, min(layout.unit // 8, self.next - column)), 1))
        for row in range(layout.lanes_height, layout.lanes_height + layout.plot_height - dash, 2 * dash):
            self._ring.draw(column, row, pixels)

    # --- time ---

    def _tick_room(self, text: str) -> float:
        return (self.layout.text_width(text) + 2.5 * self.layout.unit) / self.layout.scroll_width

    def _due_ticks(self) -> Iterator[float]:
        """Yield the ticks whose text is complete."""
        half = self._tick_half_width() if self._tick_s else 0
        while self._tick_s and self._column(self._next_tick_s) + half <= self.next:
            yield self._next_tick_s
            self._next_tick_s += self._tick_s

    def _tick_half_width(self) -> int:
        return round(self.layout.text_width(self._tick_text(self._next_tick_s)) / 2) + 2

    def _tick_text(self, tick_s: float) -> str:
        return time_text(tick_s, self._tick_s, self._named_s, self._begin)

    def _draw_tick(self, tick_s: float) -> None:
        layout, text = self.layout, self._tick_text(tick_s)
        column, half = self._column(tick_s), round(layout.text_width(text) / 2) + 2
        row = layout.lanes_height + layout.plot_height
        pixels = yuv(layout.text(text, 2 * half, layout.tick_height))
        pixels[: max(2, 2 * round(layout.unit / 5)), half : half + max(1, layout.unit // 10)] = self._line
        self._ring.draw(column - half, row, pixels)
