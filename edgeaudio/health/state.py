"""The one state that a source has, made of what its reader says and of what its levels show.

Owns: the states' precedence, and since when. Does not know: threads, MQTT, how anything is mended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edgeaudio.health.signal_monitor import FINE, SignalMonitor, SignalState
from edgeaudio.types import Level, Reason, SourceState, SourceStatus

_PAUSED = SignalState(SourceState.SILENT, Reason.PAUSED, "the sender sends nothing, as it does while it is quiet")


def _is_another_try(old: SourceStatus, new: SourceStatus) -> bool:
    """True if a connection is opened once more while the same outage lasts: that is no news."""
    waited = old.state in {SourceState.WAITING, SourceState.FAILED}
    same = (old.reason, old.detail) == (new.reason, new.detail)
    return new.state is SourceState.CONNECTING and waited and same


class SourceHealth:
    """The state of one source. Safe for its reader's thread and the recogniser's."""

    def __init__(self, status: SourceStatus, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._signal_monitor = SignalMonitor()
        self._signal = FINE
        self._connection = status
        self._status = status

    @property
    def status(self) -> SourceStatus:
        return self._status

    def connection(self, status: SourceStatus) -> SourceStatus | None:
        """What the reader says, or that nobody reads; returns the source's state where it is news."""
        with self._lock:
            if self._connection.state is not SourceState.LISTENING:  # another connection, another sound
                self._signal_monitor, self._signal = SignalMonitor(), FINE
            self._connection = status
            return self._news()

    def level(self, level: Level) -> SourceStatus | None:
        """One more level; returns the source's state where it is news."""
        with self._lock:
            if self._connection.state is not SourceState.LISTENING:
                return None
            self._signal = self._signal_monitor.feed(level)
            return self._news()

    def _news(self) -> SourceStatus | None:
        old, loudness, new = self._status, self._signal, self._connection
        if new.pauses and loudness.reason is Reason.DIGITAL_SILENCE:
            loudness = _PAUSED
        if new.state is SourceState.LISTENING:
            new = replace(new, state=loudness.state, reason=loudness.reason, detail=loudness.detail)
            # the reader knows since when it is connected, not since when all is well
            same = (old.state, old.reason) == (new.state, new.reason)
            new = replace(new, since=old.since if same else self._now())
        if new == old or _is_another_try(old, new):
            return None
        self._status = new
        return new
