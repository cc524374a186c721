"""Spectra of sound that goes on for ever, as columns of a fixed length in time.

Owns: which frames are in which column, and columns without sound. Does not know: FFTs, colours, pixels.

A column has the largest power of all frames whose middle is in it. Columns are returned once, in order, as soon as no
frame can be added to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.spectrogram import Run
from edgeaudio.pictures.spectrum import Analysis, Powers
from edgeaudio.types import Samples

_EPSILON = 1e-6  # of a column
_MOST = 4096  # columns without sound that are returned at once


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Columns from number `first` on: powers `(n, n_rows)`, NaN where there was no sound."""

    first: int
    powers: Powers


class ScrollingSpectrogram:
    """Columns of `column_s`, numbered from time 0 on. Call `add` in order of time."""

    def __init__(self, axis: FrequencyAxis, n_rows: int, column_s: float) -> None:
        self.next = 0  # columns below this were returned
        self._axis = axis
        self._n_rows = n_rows
        self._column_s = column_s
        self._run: Run | None = None
        self._open: Powers | None = None  # the column `next`, as far as it is known
        self._last: Powers = np.full(n_rows, np.nan, np.float32)  # returned

    def add(
        self, samples: Samples, sample_rate: int, at_s: float, *, joined: bool, is_gap: bool = True
    ) -> Iterator[Columns]:
        """Yield what samples `(n, channels)` from `at_s` on complete.

        joined: they follow what came before, without a hole. is_gap: else what is between is drawn as one; if not, it
        shows what came before.
        """
        if not (joined and self._run is not None and self._run.continues(samples, sample_rate)):
            yield from self.end()
            if is_gap:
                yield from self._gap(self._column_of(at_s))
            analysis = Analysis(self._axis, self._n_rows, sample_rate)
            self._run = Run(analysis, samples.shape[1], at_s)
        self._run.add(samples)
        yield from self._computed(self._run)

    def silence(self, until_s: float) -> Iterator[Columns]:
        """Yield the columns of a gap that lasts at least until then."""
        yield from self.end()
        yield from self._gap(self._column_of(until_s))

    def end(self) -> Iterator[Columns]:
        """Yield the last columns of the sound so far; what comes later is not joined to it."""
        run, self._run = self._run, None
        if run is None:
            return
        run.end()
        yield from self._computed(run)
        if self._open is not None:
            yield self._returned(self._open[None])
            self._open = None
            last = self._column_of(run.end_s)
            # half a frame at the end has no frame of its own
            if last > self.next:
                yield self._returned(np.repeat(self._last[None], last - self.next, axis=0))

    def _column_of(self, at_s: float) -> int:
        return int(at_s / self._column_s + _EPSILON)

    def _computed(self, run: Run) -> Iterator[Columns]:
        for times_s, powers in run.frames(self._column_s):
            numbers = np.maximum((times_s / self._column_s + _EPSILON).astype(np.int64), self.next)
            firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
            found = np.fmax.reduceat(powers, firsts, axis=0)
            numbers = numbers[firsts]
            if self._open is not None:  # the column `next`
                if numbers[0] == self.next:
                    found[0] = np.fmax(found[0], self._open)
                else:
                    numbers = np.concatenate([[self.next], numbers])
                    found = np.concatenate([self._open[None], found])
            # a column without a frame shows the one before it; the first columns of a run show its first frame
            every = np.arange(self.next, numbers[-1])
            shown = np.maximum(np.searchsorted(numbers, every, side="right") - 1, 0)
            self._open = found[-1]
            if len(every):
                yield self._returned(found[shown])

    def _gap(self, end: int) -> Iterator[Columns]:
        """Yield columns without sound up to number `end`."""
        while self.next < end:
            n_columns = min(end - self.next, _MOST)
            yield self._returned(np.full((n_columns, self._n_rows), np.nan, np.float32))

    def _returned(self, powers: Powers) -> Columns:
        columns = Columns(self.next, powers)
        self.next += len(powers)
        self._last = powers[-1]
        return columns
