"""Spectrogram of a sound of any length, in a grid whose size the length does not change.

Owns: when each frame was, the grid of rows and columns, and gaps. Does not know: FFTs, colours, marks.

While sound comes, the grid's columns are filled. When it is full, each two columns become one of twice the time. A
column has the largest power of all frames in it, so that a short sound stays visible in hours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.spectrum import Analysis, Powers
from edgeaudio.types import Samples

_BATCH_VALUES = 1 << 19  # of spectra at a time: 2 MB
_JOIN_S = 0.001  # sound that begins this close to the end of what came before follows it without a gap
# far beyond any recording: a broken value cannot overflow a power
_MAX_SAMPLE = 1e6


class Spectrogram:
    """Powers by frequency and time. Call `add` in order of time, and `finish` at the end."""

    def __init__(self, axis: FrequencyAxis, n_rows: int, n_columns: int, expected_s: float | None = None) -> None:
        """`expected_s`: the length of the sound, if known; it may be wrong."""
        self.axis = axis
        self.end_s = 0.0
        self._n_rows = n_rows
        capacity = 2 * n_columns
        self._column_s = expected_s / n_columns if expected_s else _JOIN_S
        self._powers: Powers = np.full((capacity, n_rows), np.nan, np.float32)
        self._heard = np.zeros(capacity, np.bool_)
        self._run: Run | None = None

    def add(self, samples: Samples, sample_rate: int, at_s: float) -> None:
        """Add samples `(n,)` or `(n, channels)` that begin at `at_s`; time before the end of others is put after it."""
        if len(samples) == 0:
            return
        wide = samples.reshape(len(samples), -1)
        run = self._run
        if run is None or not run.continues(wide, sample_rate) or at_s > self.end_s + _JOIN_S:
            self._end_run()
            self._column_s = max(self._column_s, 1 / sample_rate)
            analysis = Analysis(self.axis, self._n_rows, sample_rate)
            run = self._run = Run(analysis, wide.shape[1], max(at_s, self.end_s))
        run.add(wide)
        begin_s, self.end_s = max(at_s, self.end_s), run.end_s
        self._make_room()
        last = max(0, int(np.ceil(self.end_s / self._column_s - 1e-6)) - 1)
        self._heard[int(begin_s / self._column_s + 1e-6) : last + 1] = True
        self._fill(run)

    def finish(self) -> None:
        """Compute the frames at the end."""
        self._end_run()

    def powers(self, n_rows: int, n_columns: int) -> Powers:
        """Return the powers `(n_rows, n_columns)` from the lowest row on; NaN where there was no sound.

        `n_rows`: at most those of the grid.
        """
        used = max(self.end_s / self._column_s, 1e-6)
        n_used = min(max(1, int(np.ceil(used - 1e-6))), len(self._powers))
        grid = _filled(self._powers[:n_used], self._heard[:n_used])
        columns = np.minimum((np.arange(n_columns) * used / n_columns + 1e-6).astype(int), n_used - 1)
        rows = (np.arange(n_rows) * self._n_rows / n_rows + 1e-6).astype(int)
        wanted: Powers = np.fmax.reduceat(np.fmax.reduceat(grid, columns, axis=0), rows, axis=1)
        return wanted.T

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.end()
            self._fill(self._run)
            self._run = None

    def _make_room(self) -> None:
        while self.end_s > len(self._powers) * self._column_s * (1 + 1e-9):
            half = len(self._powers) // 2
            self._powers[:half] = np.fmax(self._powers[0::2], self._powers[1::2])
            self._powers[half:] = np.nan
            self._heard[:half] = self._heard[0::2] | self._heard[1::2]
            self._heard[half:] = False
            self._column_s *= 2

    def _fill(self, run: Run) -> None:
        for times_s, powers in run.frames(self._column_s):
            columns = np.minimum((times_s / self._column_s + 1e-6).astype(int), len(self._powers) - 1)
            firsts = np.flatnonzero(np.diff(columns, prepend=-1))
            at = columns[firsts]
            self._powers[at] = np.fmax(self._powers[at], np.maximum.reduceat(powers, firsts, axis=0))


def _filled(powers: Powers, heard: NDArray[np.bool_]) -> Powers:
    """Return a grid whose columns with sound but without a frame have those of the frame before."""
    has_frame = ~np.isnan(powers[:, 0])
    before = np.maximum.accumulate(np.where(has_frame, np.arange(len(powers)), 0))
    filled = powers[before]
    filled[~heard] = np.nan
    return filled


class Run:
    """Samples without a gap, of one format, and the frames in them.

    At both ends the picture has the first and the last whole frame: half a frame, mirrored or filled with zeros, would
    look like a click in every tone.
    """

    def __init__(self, analysis: Analysis, n_channels: int, begin_s: float) -> None:
        self._analysis = analysis
        self._begin_s = begin_s
        self._length = 0  # samples so far
        self._pending: Samples = np.empty((0, n_channels), np.float32)  # those that frames still need
        self._first = 0  # sample of the run with which they begin
        self._next = 0  # sample with which the next frame begins

    @property
    def end_s(self) -> float:
        return self._begin_s + self._length / self._analysis.sample_rate

    def continues(self, samples: Samples, sample_rate: int) -> bool:
        """True if samples have this run's format."""
        return sample_rate == self._analysis.sample_rate and samples.shape[1] == self._pending.shape[1]

    def add(self, samples: Samples) -> None:
        if not np.abs(samples).max(initial=0.0) <= _MAX_SAMPLE:  # NaN included
            samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -_MAX_SAMPLE, _MAX_SAMPLE)
        self._pending = np.concatenate([self._pending, samples])
        self._length += len(samples)

    def end(self) -> None:
        """Have the last frame end with the last sample; a run shorter than a frame is mirrored."""
        length = self._analysis.window_length
        if self._length < length:
            self._pending = np.pad(self._pending, ((0, length - self._length), (0, 0)), mode="symmetric")
        self._next = max(self._first, self._first + len(self._pending) - length)

    def frames(self, column_s: float) -> Iterator[tuple[NDArray[np.float64], Powers]]:
        """Yield the times of frames, `(m,)`, and their powers `(m, n_rows)`; at least one frame a column."""
        rate, length = self._analysis.sample_rate, self._analysis.window_length
        hop = min(max(1, int(column_s * rate + 1e-6)), max(1, length // 2))
        while (n_frames := (len(self._pending) - (self._next - self._first) - length) // hop + 1) > 0:
            n_frames = min(n_frames, max(1, _BATCH_VALUES // length))
            powers = self._analysis.powers(self._pending[self._next - self._first :], hop, n_frames)
            times_s = (
                self._begin_s + np.minimum(self._next + np.arange(n_frames) * hop + length / 2, self._length) / rate
            )
            if self._next == 0:
                yield np.array([self._begin_s]), powers[:1]
            yield times_s, powers
            self._next += n_frames * hop
        # the last frame of the run may begin before the next one
        kept = min(self._next - self._first, len(self._pending) - length)
        if kept > 0:
            self._pending = self._pending[kept:].copy()
            self._first += kept
