"""What a server has in store for newcomers, and when it was sound.

Owns: telling stored sound, which comes at once, from live sound, which comes as it is made.
Does not know: connections, Blocks, what an earlier connection has heard.

Servers keep the last seconds for newcomers, and opening reads ahead. Sound cannot come before it was made: so each
frame says that the burst began no later than its arrival, less all the sound up to its end; the earliest of these
moments is taken, once reading has to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from av.audio.frame import AudioFrame

_LONGEST_S = 60.0
_MAX_SAMPLES = 1 << 22  # of all channels
# of what comes by HTTP, in which many frames may come at once
_STEADY_S = 0.5
_STEADY_RATIO = 1.5


def take_burst(
    frames: Iterator[AudioFrame], monotonic: Callable[[], float], *, in_pieces: bool
) -> tuple[list[AudioFrame], float]:
    """Take frames until they come no faster than they last; returns them, and when the first of them began.

    `in_pieces`: many frames may come in one piece, so a single wait shows nothing.
    """
    held: list[AudioFrame] = []
    held_s, n_samples, begin_s = 0.0, 0, monotonic()
    since_s, came_s = begin_s, 0.0  # of the present look at how fast sound comes
    for frame in frames:
        duration_s, now_s = duration_of(frame), monotonic()
        held.append(frame)
        held_s += duration_s
        came_s += duration_s
        n_samples += frame.samples * frame.layout.nb_channels
        begin_s = min(begin_s, now_s - held_s)
        waited_s = now_s - since_s
        if in_pieces:
            live = waited_s >= _STEADY_S and came_s < _STEADY_RATIO * waited_s
        else:
            live = len(held) > 1 and waited_s > duration_s / 2
        if live or held_s > _LONGEST_S or n_samples > _MAX_SAMPLES:
            break
        if not in_pieces or waited_s >= _STEADY_S:
            since_s, came_s = now_s, 0.0
    return held, begin_s


def duration_of(frame: AudioFrame) -> float:
    """Length of a frame in s."""
    return frame.samples / frame.sample_rate
