"""Limit on the requests of one connection: a token bucket."""

from __future__ import annotations

import threading
import time

BURST = 200  # requests at once; opening a master playlist takes a few for each of its lists
REQUESTS_PER_S = 50  # after that


class RequestPace:
    """Delays requests: FFmpeg skips through any number of empty or missing segments. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens, self._at_s = float(BURST), time.monotonic()

    def wait_s(self) -> float:
        """Return the seconds that the next request has to wait; each call is one request."""
        with self._lock:
            now_s = time.monotonic()
            self._tokens = min(BURST, self._tokens + REQUESTS_PER_S * (now_s - self._at_s)) - 1
            self._at_s = now_s
            return max(0.0, -self._tokens / REQUESTS_PER_S)
