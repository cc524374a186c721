"""A monotonic clock for durations and order, its translation to UTC, and how UTC is written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# NTP slews below this and steps above (RFC 5905 steps from 0.128 s); a slew is followed silently
STEP_S = 0.25
_PROMPT_S = 0.02  # longest time between readings of both clocks; on a busy machine the thread may be preempted there
_READINGS = 10


class Clock:
    """Monotonic seconds, and their UTC. Shared by all sources of an agent, safe for any thread.

    The agent orders and measures everything by the monotonic clock. UTC is that clock plus an offset, which is read
    anew at each use: a step of the system clock moves the offset once, is counted in `steps` and logged, and affects no
    duration and no order.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.monotonic = monotonic  # seconds since some past moment
        self.steps = 0  # times that the system clock was stepped
        self._wall = wall
        self._lock = threading.Lock()
        self._offset_s = self._read()[1]

    def utc(self, at_s: float | None = None) -> datetime:
        """Return the aware UTC time of the monotonic moment `at_s`; None: now."""
        with self._lock:
            now_s, offset_s = self._read()
            step_s = offset_s - self._offset_s
            self._offset_s = offset_s
            if abs(step_s) >= STEP_S:
                self.steps += 1
                _log.warning("the system clock was stepped by %+.3f s", step_s)
            return _EPOCH + timedelta(seconds=(now_s if at_s is None else at_s) + offset_s)

    def _read(self) -> tuple[float, float]:
        """Return the monotonic clock, and the system clock less it: the fastest of some readings."""
        best_s, found = float("inf"), (0.0, 0.0)
        for _ in range(_READINGS):
            before_s = self.monotonic()
            offset_s = self._wall() - before_s
            took_s = self.monotonic() - before_s
            if took_s < best_s:
                best_s, found = took_s, (before_s, offset_s)
            if took_s <= _PROMPT_S:
                break
        return found


def timestamp(at: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with milliseconds, truncated, so that it is never in the future."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be written")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
