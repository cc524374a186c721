"""A film of one source: Blocks in, pictures and sound out, each at its time.

Owns: the order of the steps, and which pictures are due. Does not know: where Blocks come from (recording.py, live.py),
how a picture is drawn (pictures/), how a film is encoded (output.py), threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from edgeaudio.console import clock_time
from edgeaudio.decibels import loudest_channel_dbfs
from edgeaudio.film.detections import Detections, MarkBegin, MarkEnd
from edgeaudio.film.output import FilmFormat, FilmOutput
from edgeaudio.film.sound_track import SoundTrack, film_rate
from edgeaudio.film.time_line import Placed, TimeLine
from edgeaudio.mixing import mixed
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.film_picture import FilmPicture
from edgeaudio.pictures.scrolling import Columns, ScrollingSpectrogram
from edgeaudio.pictures.ticks import Begin
from edgeaudio.types import Block

# of sound, drawn at once: the level is that of as much
PIECE_S = 0.1
_LEVEL_TEXT_S = 0.5  # from one figure of the level to the next
_NO_SOUND, _SILENCE = "no sound", "silence"


@dataclass(frozen=True, slots=True)
class Footage:
    """How much of a film there is."""

    length_s: float
    sound_s: float
    pictures: int
    skipped: int  # pictures that this machine was too slow for
    late_s: float  # of sound that came when its time had passed


class Film:
    """One film, from its first Block on."""

    def __init__(  # noqa: PLR0913 (each is something that its caller owns)
        self,
        look: FilmLook,
        time_line: TimeLine,
        first: Block,
        open_output: Callable[[FilmFormat], FilmOutput],
        *,
        begin: Begin,
        detections: Detections | None = None,
        expected_s: float | None = None,
        channel: int | None = None,
        pace: Callable[[float], float] | None = None,
    ) -> None:
        """Open the output in the format of the first Block, which is to be fed as well. Raises EdgeaudioError.

        begin: what the film's beginning is called: a second of the recording, or a time of the clock with its zone.
        channel: the one that is shown and played, from 1; None: all.
        pace: waits until the picture of a time is due, and returns for how long; None: as fast as it goes.
        """
        self.waited_s = 0.0  # for pictures to be due
        self._pace = pace
        self._channel = channel
        n_channels = self._shown(first).samples.reshape(len(first.samples), -1).shape[1]
        axis = look.axis(first.sample_rate)
        self.time_line = time_line
        self._detections = detections
        self._begin = begin
        self._picture = FilmPicture(look, axis, begin, expected_s)
        self._spectrogram = ScrollingSpectrogram(axis, self._picture.n_rows, self._picture.column_s)
        rate = film_rate(first.sample_rate)
        self.frame_rate = look.frame_rate
        self._output = open_output(FilmFormat(look.width, look.height, look.frame_rate, rate, n_channels))
        self._sound = SoundTrack(self._output, rate, n_channels)
        self._next = 0  # number of the next picture
        self.stride = 1  # from picture to picture
        self._held: list[Placed] = []  # sound that is not drawn yet
        self._pictures = 0
        self._sound_s = 0.0
        self._second: int | None = None  # that the clock shows
        self._level_text, self._level_text_s = "", -1.0

    @property
    def drawn_s(self) -> float:
        """End of the last picture."""
        return self._next / self.frame_rate

    @property
    def utc_offset(self) -> timedelta | None:
        """Zone of the clock that is shown; None: it is a recording's."""
        return self._begin.utcoffset() if isinstance(self._begin, datetime) else None

    @property
    def footage(self) -> Footage:
        """What the film has so far."""
        skipped = self._next - self._pictures
        return Footage(self.drawn_s, self._sound_s, self._pictures, skipped, self.time_line.late_s)

    def feed(self, block: Block, now_s: float | None = None) -> None:
        """Add a Block, and make the pictures that are due; `now_s` as of TimeLine.place. Raises EdgeaudioError."""
        before_s, steps = self.time_line.end_s, self.time_line.steps
        placed = self.time_line.place(self._shown(block), now_s)
        if self.time_line.steps != steps and isinstance(self._begin, datetime):
            self.rename(self.time_line.zero.astimezone(self._begin.tzinfo))
        if placed is not None:
            if placed.is_gap and placed.begin_s > before_s:
                self._draw_held()
                self._pass(before_s, placed.begin_s)
            for piece in _pieces(placed):
                self._sound.add(piece)
                self._hold(piece)
            self._sound_s += placed.end_s - placed.begin_s
        if self._detections is not None:
            self._mark(self._detections.feed(block, self.time_line))

    def without_sound(self, until_s: float) -> None:
        """Decide that there is no sound up to then, and make the pictures of that time. Raises EdgeaudioError."""
        before_s = self.time_line.end_s
        if until_s <= before_s:
            return
        self.end_sound()
        self.time_line.pass_to(until_s)
        self._pass(before_s, until_s)

    def end_sound(self) -> None:
        """End what goes on: what comes later is not joined to it."""
        self._draw_held()
        self._sound.end()
        if self._detections is not None:
            self._mark(self._detections.end(self.time_line))

    def finish(self) -> None:
        """Make the last pictures, and finish the film. Raises EdgeaudioError."""
        try:
            self.end_sound()
            self._draw(self._spectrogram.end())
            # the last picture lasts until the sound ends; a column that is not complete is left out
            self._emit(self.time_line.end_s)
        finally:
            self._output.close()

    def abandon(self) -> None:
        """Finish the film as it is, after a failure. Raises EdgeaudioError."""
        self._output.close()

    def _shown(self, block: Block) -> Block:
        """Return what is shown and played of a Block, finite."""
        samples = block.samples if self._channel is None else mixed(block.samples, self._channel)
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        return block if samples is block.samples else replace(block, samples=samples)

    def _hold(self, piece: Placed) -> None:
        """Draw sound once there is enough of it: many small pieces take several times the processor's time."""
        if not piece.joined or (self._held and piece.samples.shape[1] != self._held[0].samples.shape[1]):
            self._draw_held()
        self._held.append(piece)
        if piece.end_s - self._held[0].begin_s >= PIECE_S - 1e-6:
            self._draw_held()

    def _draw_held(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        first = held[0]
        samples = first.samples if len(held) == 1 else np.concatenate([piece.samples for piece in held])
        whole = replace(first, samples=samples)
        self._show_level(whole)
        self._draw(
            self._spectrogram.add(samples, whole.sample_rate, whole.begin_s, joined=whole.joined, is_gap=whole.is_gap)
        )

    def _pass(self, begin_s: float, until_s: float) -> None:
        at_s = begin_s
        while at_s < until_s:
            at_s = min(at_s + PIECE_S, until_s)
            self._write_level(None, _NO_SOUND, at_s)
            self._draw(self._spectrogram.silence(at_s))

    def _draw(self, columns: Iterable[Columns]) -> None:
        for each in columns:
            self._picture.add(each)
        self._emit(self._picture.next * self._picture.column_s)

    def _emit(self, until_s: float) -> None:
        """Make the pictures whose columns are known."""
        until_s = min(until_s + 1e-9, self.time_line.end_s - 1e-6)  # a picture at the end would last beyond it
        while (at_s := self._next / self.frame_rate) <= until_s:
            self._show_clock(at_s)
            if self._pace is not None:
                self.waited_s += self._pace(at_s)
            self._output.picture(self._next, self._picture.frame(at_s))
            self._pictures += 1
            self._next += self.stride

    def _mark(self, marks: Iterable[MarkBegin | MarkEnd]) -> None:
        for mark in marks:
            if isinstance(mark, MarkBegin):
                self._picture.begin_mark(mark.mark_id, mark.label, mark.at_s)
            else:
                self._picture.end_mark(mark.mark_id, mark.at_s)

    # --- what stands still ---

    def rename(self, begin: Begin) -> None:
        """Call the film's beginning otherwise: the clock was set, or has changed to summer time."""
        self._begin = begin
        self._picture.rename(begin)

    def _show_clock(self, at_s: float) -> None:
        second = int(at_s + (0.0 if isinstance(self._begin, datetime) else self._begin) + 1e-6)
        if isinstance(self._begin, datetime):
            at = self._begin + timedelta(seconds=at_s, microseconds=1)
            second = int(at.timestamp())
        if second == self._second:
            return
        self._second = second
        if isinstance(self._begin, datetime):
            local = datetime.fromtimestamp(second, self._begin.tzinfo)
            self._picture.layout.show_clock(f"{local:%Y-%m-%d %H:%M:%S %Z}")
        else:
            self._picture.layout.show_clock(clock_time(second)[:-3])

    def _show_level(self, piece: Placed) -> None:
        level_dbfs = loudest_channel_dbfs(piece.samples)
        text = _SILENCE if level_dbfs is None else f"{level_dbfs:.0f} dBFS"
        self._write_level(level_dbfs, text, piece.end_s)

    def _write_level(self, level_dbfs: float | None, text: str, at_s: float) -> None:
        """Show the level; its figure changes only so often that it can be read."""
        is_figure = text.endswith("dBFS") and self._level_text.endswith("dBFS")
        if not is_figure or at_s - self._level_text_s >= _LEVEL_TEXT_S:
            self._level_text, self._level_text_s = text, at_s
        self._picture.layout.show_level(level_dbfs, self._level_text)


def _pieces(placed: Placed) -> Iterator[Placed]:
    """Yield the sound in pieces of at most PIECE_S."""
    size = max(1, round(PIECE_S * placed.sample_rate))
    rate = placed.sample_rate
    for start in range(0, len(placed.samples), size):
        samples = placed.samples[start : start + size]
        is_first = start == 0
        yield Placed(
            placed.begin_s + start / rate, rate, samples, placed.joined or not is_first, placed.is_gap and is_first
        )
