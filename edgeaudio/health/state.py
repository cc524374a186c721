"""State of a source, from its connection and from its levels: which of them wins, and since when it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edgeaudio.health.signal_monitor import FINE, SignalMonitor, SignalState
from edgeaudio.types import Level, Reason, SourceState, SourceStatus

_PAUSED = SignalState(SourceState.SILENT, Reason.PAUSED, "the sender sends nothing, as it does while it is quiet")


def _is_another_try(old: SourceStatus, new: SourceStatus) -> bool:
    """True if `new` is only another attempt to connect in the same outage."""
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
        """Set the state of the connection; return the source's state if that changes it."""
        with self._lock:
            if self._connection.state is not SourceState.LISTENING:  # a new connection starts afresh
                self._signal_monitor, self._signal = SignalMonitor(), FINE
            self._connection = status
            return self._changed_status()

    def level(self, level: Level) -> SourceStatus | None:
        """Add a level; return the source's state if that changes it."""
        with self._lock:
            if self._connection.state is not SourceState.LISTENING:
                return None
            self._signal = self._signal_monitor.feed(level)
            return self._changed_status()

    def _changed_status(self) -> SourceStatus | None:
        old, signal, new = self._status, self._signal, self._connection
        if new.pauses and signal.reason is Reason.DIGITAL_SILENCE:
            signal = _PAUSED
        if new.state is SourceState.LISTENING:
            new = replace(new, state=signal.state, reason=signal.reason, detail=signal.detail)
            # the connection's own `since` is not that of the signal's state
            same = (old.state, old.reason) == (new.state, new.reason)
            new = replace(new, since=old.since if same else self._now())
        if new == old or _is_another_try(old, new):
            return None
        self._status = new
        return new
