"""The window of a long signal that is kept in memory: samples are appended at its end and dropped at its beginning."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeaudio.types import Samples

Numbers = TypeVar("Numbers", bound=np.generic)


def windows_of(signal: NDArray[Numbers], length: int, step: int) -> NDArray[Numbers]:
    """Return the windows of a signal `(n,)`, one every `step` samples, `(n_windows, length)`: a view, to be read only.

    As sliding_window_view(signal, length)[::step], which takes longer than a small clip's spectrum.
    """
    signal = np.ascontiguousarray(signal)
    n_windows = max(0, 1 + (len(signal) - length) // step)
    return np.ndarray((n_windows, length), signal.dtype, signal, 0, (step * signal.itemsize, signal.itemsize))


class SampleBuffer:
    """Samples `[start, stop)` of a signal, float32. Positions count from the signal's first sample."""

    def __init__(self) -> None:
        self._data: Samples = np.empty(4096, dtype=np.float32)
        self._first = 0  # index in _data of sample `start`
        self.start = 0
        self.stop = 0

    def append(self, samples: Samples) -> None:
        """Append samples `(n,)`."""
        held = self.stop - self.start
        needed = held + len(samples)
        if self._first + needed > len(self._data):
            # a quarter more than is needed, so that appending single samples rarely copies
            roomy = needed + needed // 4
            room = self._data if len(self._data) >= roomy else np.empty(roomy, dtype=np.float32)
            room[:held] = self._data[self._first : self._first + held]
            self._data, self._first = room, 0
        self._data[self._first + held : self._first + needed] = samples
        self.stop += len(samples)

    def view(self, start: int, stop: int) -> Samples:
        """Return samples `[start, stop)` without a copy: valid until the next `append`."""
        return self._data[self._first + start - self.start : self._first + stop - self.start]

    def forget(self, before: int) -> None:
        """Drop the samples before a position."""
        before = min(max(before, self.start), self.stop)
        self._first += before - self.start
        self.start = before
