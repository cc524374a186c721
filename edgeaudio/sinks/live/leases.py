"""Leases: which sources are watched or listened to, and until when.

Owns: the bound on their number, and that all viewers of a source share one lease.
Does not know: who watches, the longest lease that may be asked for (mqtt/commands.py); times are monotonic seconds,
handed in.
"""

from __future__ import annotations

import threading
from typing import Final

MAX_SOURCES: Final = 4  # watched at once, and listened to


class Leases:
    """The lease of each source that is watched, or listened to. Safe for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end_s: dict[str, float] = {}  # by source

    def renew(self, source: str, duration_s: float, now_s: float) -> bool:
        """Lease a source for `duration_s` from now, or until its later end; 0 ends the lease, whoever asked for it.

        Return False if MAX_SOURCES others are leased.
        """
        with self._lock:
            self._end_s = {each: end_s for each, end_s in self._end_s.items() if end_s > now_s}
            if not duration_s:
                self._end_s.pop(source, None)
                return True
            if source not in self._end_s and len(self._end_s) >= MAX_SOURCES:
                return False
            self._end_s[source] = max(now_s + duration_s, self._end_s.get(source, now_s))
            return True

    def is_leased(self, source: str, now_s: float) -> bool:
        """True if somebody watches this source."""
        with self._lock:
            return self._end_s.get(source, now_s) > now_s

    def is_any_leased(self, now_s: float) -> bool:
        """True if somebody watches some source."""
        with self._lock:
            return any(end_s > now_s for end_s in self._end_s.values())
