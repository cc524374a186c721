"""Bursts at the beginning of a connection, and when their sound was made.

Servers buffer the last seconds for new clients, and opening reads ahead. Sound cannot arrive before it was made: each
frame shows that the burst began no later than its arrival, less all the sound up to its end. The earliest of these
times counts, once reading has to wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from av.audio.frame import AudioFrame

_LONGEST_S = 60.0
_MAX_SAMPLES = 1 << 22  # of all channels
# of HTTP, which may bring many frames at once
STEADY_S = 0.5
_STEADY_RATIO = 1.5


class Burst:
    """Beginning of a burst: the frames before the first that is known to be live."""

    def __init__(self, now_s: float, *, in_pieces: bool) -> None:
        """`in_pieces`: many frames may arrive at once, so a single wait shows nothing."""
        self.begin_s = now_s
        self._n_reads = 0
        self._in_pieces = in_pieces
        self._held_s, self._n_samples = 0.0, 0
        self._since_s, self._came_s = now_s, 0.0  # the present window in which the rate of arrival is measured

    def add(self, frames: Sequence[AudioFrame], now_s: float) -> bool:
        """Add frames that arrived at `now_s`; return True if the next ones are live."""
        duration_s = duration_of(frames)
        self._n_reads += 1
        self._held_s += duration_s
        self._came_s += duration_s
        self._n_samples += sum(frame.samples * frame.layout.nb_channels for frame in frames)
        self.begin_s = min(self.begin_s, now_s - self._held_s)
        waited_s = now_s - self._since_s
        if self._in_pieces:
            live = waited_s >= STEADY_S and self._came_s < _STEADY_RATIO * waited_s
        else:
            live = self._n_reads > 1 and waited_s > duration_s / 2
        if not self._in_pieces or waited_s >= STEADY_S:
            self._since_s, self._came_s = now_s, 0.0
        return live or self._held_s > _LONGEST_S or self._n_samples > _MAX_SAMPLES


def duration_of(frames: Sequence[AudioFrame]) -> float:
    """Return the length of frames in s."""
    return sum(frame.samples / frame.sample_rate for frame in frames)
