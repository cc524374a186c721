"""A window onto a long signal: samples come in at the end and are forgotten at the beginning.

Owns: the memory, and positions counted from the signal's first sample.
Does not know: rates, clips, what the samples mean.
"""

from __future__ import annotations

import numpy as np

from edgeaudio.types import Samples


class SampleBuffer:
    """Samples `[start, stop)` of a signal, float32, addressed by their position in the signal."""

    def __init__(self) -> None:
        self._data: Samples = np.empty(4096, dtype=np.float32)
        self._first = 0  # index in _data of sample `start`
        self.start = 0
        self.stop = 0

    def append(self, samples: Samples) -> None:
        """Add samples `(n,)` at the end."""
        held = self.stop - self.start
        needed = held + len(samples)
        if self._first + needed > len(self._data):
            # at least twice what is needed, so that single samples cost a copy only now and then
            room = self._data if len(self._data) >= 2 * needed else np.empty(2 * needed, dtype=np.float32)
            room[:held] = self._data[self._first : self._first + held]
            self._data, self._first = room, 0
        self._data[self._first + held : self._first + needed] = samples
        self.stop += len(samples)

    def view(self, start: int, stop: int) -> Samples:
        """Samples `[start, stop)`, without a copy: valid until the next call of `append`."""
        return self._data[self._first + start - self.start : self._first + stop - self.start]

    def forget(self, before: int) -> None:
        """Drop what comes before that position."""
        before = min(max(before, self.start), self.stop)
        self._first += before - self.start
        self.start = before
