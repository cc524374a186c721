"""Log lines of a source's outages: few, however often a connection fails."""

from __future__ import annotations

import logging

from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.tracks import AudioInfo
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Reason

_log = logging.getLogger(__name__)


class OutageLog:
    """Logs the first failure, each change of the reason, now and then a count, and the end."""

    def __init__(self, source: str, now_s: float) -> None:
        self.lasts = False  # the source is away
        self._source = source
        self._extra = {"source": source}
        self._began_s = now_s
        self._throttle = LogThrottle()
        self._reason: Reason | None = None
        self._failures = 0

    def failed(self, error: SourceError, now_s: float) -> None:
        """Count a failed connection."""
        if not self.lasts:
            self.lasts, self._began_s, self._failures, self._reason = True, now_s, 0, None
        self._failures += 1
        is_new = error.reason is not self._reason
        if is_new:
            self._throttle.keep_only(())
            self._reason = error.reason
        if not self._throttle.is_due(error.reason, now_s):
            return
        if is_new:
            _log.warning("%s", error, extra=self._extra)
        else:
            minutes = (now_s - self._began_s) / 60
            _log.warning(
                "source %s: still %s after %d tries in %.0f min",
                *(self._source, error.reason, self._failures, minutes),
                extra=self._extra,
            )

    def end(self, info: AudioInfo, now_s: float) -> None:
        """Log that the source is heard."""
        what = f"{info.codec}, {info.sample_rate} Hz, {info.channels} channel{'s' if info.channels != 1 else ''}"
        if self.lasts:
            away_s = now_s - self._began_s
            tries = f"{self._failures} {'try' if self._failures == 1 else 'tries'}"
            again = (self._source, away_s, tries, what)
            _log.info("source %s: heard again after %.1f s and %s: %s", *again, extra=self._extra)
        else:
            _log.info("source %s: heard: %s", self._source, what, extra=self._extra)
        self.lasts = False
