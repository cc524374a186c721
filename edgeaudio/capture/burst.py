"""What a server has in store for newcomers, and when it was sound.

Owns: telling stored sound, which comes at once, from live sound, which comes as it is made.
Does not know: connections, Blocks, what an earlier connection has heard.

Servers keep the last seconds for newcomers, and opening reads ahead. Sound cannot come before it was made: so each
frame says that the burst began no later than its arrival, less all the sound up to its end; the earliest of these
moments is taken, once reading has to wait.
"""

from __future__ import annotations

from av.audio.frame import AudioFrame

_LONGEST_S = 60.0
_MAX_SAMPLES = 1 << 22  # of all channels
# of what comes by HTTP, in which many frames may come at once
STEADY_S = 0.5
_STEADY_RATIO = 1.5


class Burst:
    """When sound began that comes at once: what comes before it is known to be live."""

    def __init__(self, now_s: float, *, in_pieces: bool) -> None:
        """`in_pieces`: many frames may come in one piece, so a single wait shows nothing."""
        self.begin_s = now_s
        self._n_frames = 0
        self._in_pieces = in_pieces
        self._held_s, self._n_samples = 0.0, 0
        self._since_s, self._came_s = now_s, 0.0  # the present look at how fast sound comes

    def add(self, frame: AudioFrame, now_s: float) -> bool:
        """Add a frame that came just now; returns whether the next ones are live."""
        duration_s = duration_of(frame)
        self._n_frames += 1
        self._held_s += duration_s
        self._came_s += duration_s
        self._n_samples += frame.samples * frame.layout.nb_channels
        self.begin_s = min(self.begin_s, now_s - self._held_s)
        waited_s = now_s - self._since_s
        if self._in_pieces:
            live = waited_s >= STEADY_S and self._came_s < _STEADY_RATIO * waited_s
        else:
            live = self._n_frames > 1 and waited_s > duration_s / 2
        if not self._in_pieces or waited_s >= STEADY_S:
            self._since_s, self._came_s = now_s, 0.0
        return live or self._held_s > _LONGEST_S or self._n_samples > _MAX_SAMPLES


def duration_of(frame: AudioFrame) -> float:
    """Length of a frame in s."""
    return frame.samples / frame.sample_rate
