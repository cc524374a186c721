"""Time limit for the sender of a pushed source, from its connection on.

FFmpeg accepts one connection without a time limit, and refuses all others meanwhile: a silent client, or a sender whose
line broke, would block the source.
"""

from __future__ import annotations

import time
from pathlib import Path

from edgeaudio.capture.deadline import Deadline

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_LOOK_EVERY_S = 1.0


class PendingSender:
    """Watch on the port. Call it while FFmpeg waits: a connection to the port restarts the deadline with `limit_s`."""

    def __init__(self, port: int, deadline: Deadline, limit_s: float) -> None:
        self.came = False
        self._port = f":{port:04X}"
        self._deadline = deadline
        self._limit_s = limit_s
        self._looked_s = float("-inf")

    def __call__(self) -> None:
        now_s = time.monotonic()
        if self.came or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if self._is_connected():
            self.came = True
            self._deadline.limit(self._limit_s)

    def _is_connected(self) -> bool:
        for table in _TABLES:
            try:
                lines = table.read_text().splitlines()[1:]
            except OSError:
                continue
            if any(line.split()[1].endswith(self._port) and line.split()[3] == _ESTABLISHED for line in lines):
                return True
        return False
