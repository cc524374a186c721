"""Recordings played at their own speed, each from where the last connection stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from av.audio.frame import AudioFrame

from edgeaudio.capture.burst import duration_of
from edgeaudio.clock import Clock

Arrived = tuple[list[AudioFrame], float]  # frames of one read, and the monotonic time at which the last of them came


class Playback:
    """Speed of one recording: the times at which frames and Blocks are due."""

    def __init__(self, played_s: float, stop: threading.Event, clock: Clock) -> None:
        """`played_s`: what earlier connections have played of it."""
        self._played_s = played_s
        self._stop = stop
        self._clock = clock
        self._start_s: float | None = None  # monotonic, of the first frame
        self._due_s = 0.0  # seconds of sound up to the latest frame

    def due(self, reads: Iterator[Arrived]) -> Iterator[Arrived]:
        """Yield the frames that were not played, each with the time at which it is due."""
        skip_s = self._played_s
        for read, arrival_s in reads:
            if skip_s > 0:
                skip_s -= duration_of(read)
                continue
            if self._start_s is None:
                self._start_s = arrival_s
            self._due_s += duration_of(read)
            yield read, max(arrival_s, self._start_s + self._due_s)

    def wait(self, heard_s: float) -> bool:
        """Wait until `heard_s` seconds of sound are due; False if the stop event came first."""
        if self._start_s is not None:
            wait_s = self._start_s + heard_s - self._clock.monotonic()
            if wait_s > 0:
                return not self._stop.wait(wait_s)
        return not self._stop.is_set()
