"""Detections on their way into the history, and what is counted of them.

Owns: what waits while the database fails, the counts of this process, and the newest detections for pages.
Does not know: MQTT, SQLite (database.py). Called by one thread, read by any.

While the database fails, detections are shown and counted all the same, and wait in memory, within a bound: the broker
would hold back everything else if they were not acknowledged.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edgeaudio.backoff import Backoff
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.history import Written
from edgeaudio.dashboard.sequence import Sequence as DeviceSequence
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.wire.payloads import Detection

log = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
MAX_COUNTED: Final = 20_000  # of device, source and label
MAX_RECENT: Final = 500
_RETRY_MIN_S, _RETRY_MAX_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Recent:
    """A detection with its number of arrival."""

    number: int
    detection: Detection


@dataclass(frozen=True, slots=True)
class RecorderNumbers:
    """What this process knows of its detections."""

    onsets: dict[tuple[str, str, str], int]  # by device, source and label; tests are not counted
    uncounted: int  # onsets of further labels
    waiting: int  # detections that are not stored yet
    unstored: int  # that will never be
    sequences: dict[str, DeviceSequence]  # by device


class Store(Protocol):
    """Where detections go. Every method raises DatabaseError."""

    @property
    def is_damaged(self) -> bool: ...

    def open(self) -> None: ...

    def sequences(self) -> dict[str, DeviceSequence]: ...

    def write(self, detections: Sequence[Detection], now_s: float) -> Written: ...


class Recorder:
    """Writes detections, batch by batch."""

    def __init__(self, store: Store, *, last_number: int = 0) -> None:
        """Begin to number after `last_number`, which is higher than all of earlier processes: pages outlive them."""
        self._store = store
        self._lock = threading.Lock()
        self._waiting: list[Detection] = []
        self._unstored = 0
        self._onsets: Counter[tuple[str, str, str]] = Counter()
        self._uncounted = 0
        self._recent: deque[Recent] = deque(maxlen=MAX_RECENT)
        self._number = last_number
        self._sequences: dict[str, DeviceSequence] = {}
        self._backoff = Backoff(_RETRY_MIN_S, _RETRY_MAX_S)
        self._retry_s = 0.0  # monotonic
        self._throttle = LogThrottle()
        self._knows_sequences = False

    def record(self, batch: Sequence[Detection], now_s: float, monotonic_s: float) -> None:
        """Store a batch, with what still waits; an empty batch retries. Never raises DatabaseError."""
        if not batch and self._knows_sequences and not self._waiting and not self._store.is_damaged:
            return
        written = None
        if monotonic_s >= self._retry_s:
            try:
                written = self._write([*self._waiting, *batch], now_s)
            except DatabaseError as error:
                self._retry_s = monotonic_s + self._backoff.next_s()
                if self._throttle.is_due(str(error), monotonic_s):
                    log.error("%s; detections are shown, and wait in memory", error)  # noqa: TRY400 (one line)
        with self._lock:
            if written is None:
                self._keep(batch)
                new: Sequence[Detection] = batch
            else:
                stored_late = len(self._waiting)
                earlier = set(map(id, self._waiting))
                self._waiting = []
                new = [detection for detection in written if id(detection) not in earlier]
                if stored_late:
                    log.info("the history works again: %d detections that waited are stored", stored_late)
            for detection in new:
                self._note(detection)

    def numbers(self) -> RecorderNumbers:
        with self._lock:
            return RecorderNumbers(
                dict(self._onsets), self._uncounted, len(self._waiting), self._unstored, dict(self._sequences)
            )

    @property
    def last_number(self) -> int:
        """Number of the newest detection."""
        return self._number

    def recent(self, after: int = 0) -> list[Recent]:
        """Return the newest detections with higher numbers, oldest first."""
        with self._lock:
            return [recent for recent in self._recent if recent.number > after]

    def members(self, device: str, source: str, event_id: str) -> tuple[tuple[str, float], ...]:
        """Return the members' scores of an event from the newest of its detections, which has the highest score.

        Empty where the event is none of a fused model, or no longer among the recent ones: the history has none.
        """
        key = (device, source, event_id)
        with self._lock:
            found = (each.detection for each in reversed(self._recent))
            return next((one.members for one in found if (one.device, one.source, one.id) == key), ())

    def _write(self, detections: Sequence[Detection], now_s: float) -> Sequence[Detection]:
        if not self._knows_sequences or self._store.is_damaged:
            self._store.open()
            sequences = self._store.sequences()
            with self._lock:
                self._sequences = sequences
            self._knows_sequences = True
        written = self._store.write(detections, now_s) if detections else None
        self._backoff.reset()
        self._throttle.keep_only(())
        if written is None:
            return ()
        with self._lock:
            self._sequences |= written.sequences
        return written.new

    def _keep(self, batch: Sequence[Detection]) -> None:
        self._waiting += batch
        excess = len(self._waiting) - MAX_WAITING
        if excess > 0:
            del self._waiting[:excess]
            self._unstored += excess

    def _note(self, detection: Detection) -> None:
        self._number += 1
        self._recent.append(Recent(self._number, detection))
        if detection.kind == "onset" and not detection.test:
            key = (detection.device, detection.source, detection.label)
            if key in self._onsets or len(self._onsets) < MAX_COUNTED:
                self._onsets[key] += 1
            else:
                self._uncounted += 1
