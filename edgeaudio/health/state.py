"""The one state that a source has, made of what its reader says and of what its levels show.

Owns: the states' precedence, and since when. Does not know: threads, MQTT, how anything is mended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edgeaudio.health.loudness import FINE, Loudness, LoudnessJudge
from edgeaudio.recognise.types import Level, SourceState, SourceStatus


class SourceHealth:
    """The state of one source. Safe for its reader's thread and the recogniser's."""

    def __init__(self, source: str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._judge = LoudnessJudge()
        self._capture = SourceStatus(source, SourceState.CONNECTING, now())
        self.status = self._capture

    def connection(self, status: SourceStatus) -> SourceStatus | None:
        """The reader's state; returns the source's state where it is news."""
        with self._lock:
            if status.state is SourceState.LISTENING and self._capture.state is not SourceState.LISTENING:
                self._judge = LoudnessJudge()
            self._capture = status
            return self._change(status)

    def level(self, level: Level) -> SourceStatus | None:
        """One more level; returns the source's state where it changes it."""
        with self._lock:
            if self._capture.state is not SourceState.LISTENING:
                return None
            loudness = self._judge.feed(level)
            if (loudness.state, loudness.reason) == (self.status.state, self.status.reason):
                return None
            return self._change(self._with(loudness))

    def _with(self, loudness: Loudness) -> SourceStatus:
        if loudness is FINE:
            return replace(self._capture, since=self._now())
        return replace(
            self._capture, state=loudness.state, reason=loudness.reason, detail=loudness.detail, since=self._now()
        )

    def _change(self, status: SourceStatus) -> SourceStatus | None:
        if status == self.status:
            return None
        self.status = status
        return status
