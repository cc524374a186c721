"""Looks for new settings, where the settings ask for it.

Owns: when to look, and when a change is one. Does not know: what is read (settings/fingerprint.py), how new settings
are applied (reloader.py).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class SettingsWatch:
    """Notices that the settings were changed. Used by the main thread."""

    def __init__(self, fingerprint: Callable[[], str]) -> None:
        """`fingerprint`: returns the digest of all that a reload reads."""
        self._fingerprint = fingerprint
        self._look_at = -inf  # monotonic
        self._seen: str | None = None  # at the last look
        self._loaded: str | None = None  # when the settings were last read; None: that is not known

    def is_due(self, interval_s: float | None, now_s: float) -> bool:
        """True if the settings are to be read again: once for each change, when it is the same at two looks.

        `interval_s`: from one look to the next; None: nobody looks. What is being written at the first look is thus not
        read half. It is also true once after the start: the settings may have changed since they were first read.
        """
        if interval_s is None or now_s < self._look_at:
            return False
        self._look_at = now_s + interval_s
        seen, self._seen = self._seen, self._fingerprint()
        if self._seen != seen or seen == self._loaded:
            return False
        self._loaded = seen
        return True
