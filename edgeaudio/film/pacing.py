"""The pace of a film that is sent: no picture before its time, however early its sound came.

Owns: the wait. Does not know: what is sent. A file needs no pace.
"""

from __future__ import annotations

import threading
import time


class Pacer:
    """Waits for the times of pictures, counted from the first one; not once `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._begin_s: float | None = None  # monotonic

    def __call__(self, at_s: float) -> float:
        """Wait until the picture of that time of the film is due; return for how many seconds."""
        before_s = time.monotonic()
        if self._begin_s is None:
            self._begin_s = before_s - at_s
        wait_s = self._begin_s + at_s - before_s
        if wait_s <= 0:
            return 0.0
        self._stop.wait(wait_s)
        return time.monotonic() - before_s
