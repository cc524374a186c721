"""Counts of a reader: seconds heard and lost, connections, failures, and what the present connection costs."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.capture.connection import Connection
from edgeaudio.capture.coverage import Coverage, CoverageTotals
from edgeaudio.types import Block

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ReaderCounts:
    """Counts since the reader was made."""

    coverage: CoverageTotals
    connections: int  # with sound
    failures: int  # connections that ended, or were not made
    broken_packets: int
    broken_samples: int
    last_progress_s: float  # monotonic; for a watchdog, see Reader.stall_timeout_s
    quiet_s: float  # heard as silence: the sender sends nothing while it is quiet
    drift_ppm: float | None  # how much faster the sender's clock is than ours; None: not known


@dataclass(frozen=True, slots=True)
class Load:
    """Cost of a reader's present connection so far."""

    age_s: float
    heard_s: float
    received_bytes: int | None  # None: not counted
    cpu_s: float  # of the reader's thread


class Counter:
    """Counts what one reader does. May be used from any thread."""

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._coverage = Coverage(now_s)
        self._hearing = False
        self._resting = False  # after a recording: nothing is lost
        self._connections = 0
        self._failures = 0
        self._broken_packets = 0
        self._broken_samples = 0
        self._quiet_s = 0.0
        self._drift_ppm: float | None = None
        self._last_progress_s = now_s
        # of the present connection
        self._epoch: int | None = None
        self._counted_filled_s = 0.0
        self._counted_quiet_s = 0.0

    def counts(self, now_s: float) -> ReaderCounts:
        """Return the counts as of now; time without sound counts as lost up to now."""
        with self._lock:
            if not self._hearing and not self._resting:
                self._coverage.lose(now_s)
            return ReaderCounts(
                self._coverage.totals(),
                self._connections,
                self._failures,
                self._broken_packets,
                self._broken_samples,
                self._last_progress_s,
                self._quiet_s,
                self._drift_ppm,
            )

    def progress(self, now_s: float) -> None:
        """Note for the watchdog that the reader is alive."""
        with self._lock:
            self._last_progress_s = now_s

    def connected(self) -> None:
        """Count a connection with sound."""
        with self._lock:
            self._connections += 1

    def failed(self) -> None:
        """Count a connection that ended, or was not made."""
        with self._lock:
            self._failures += 1

    def rest(self) -> None:
        """Count nothing as lost from now on."""
        with self._lock:
            self._resting = True

    def begin(self) -> None:
        """Begin the counts of a connection."""
        with self._lock:
            self._epoch, self._counted_filled_s, self._counted_quiet_s = None, 0.0, 0.0

    def hear(self, block: Block, connection: Connection, now_s: float) -> None:
        """Count the latest Block of a connection."""
        with self._lock:
            self._hearing = True
            self._last_progress_s = now_s
            begin_s = None if block.epoch == self._epoch else connection.blocks.end_s - block.duration_s
            filled_s = connection.blocks.filled_s - self._counted_filled_s
            self._coverage.hear(begin_s, connection.blocks.end_s, filled_s=filled_s, now_s=now_s)
            self._quiet_s += connection.blocks.quiet_s - self._counted_quiet_s
            self._drift_ppm = connection.blocks.drift_ppm
            self._epoch = block.epoch
            self._counted_filled_s, self._counted_quiet_s = connection.blocks.filled_s, connection.blocks.quiet_s

    def end(self, connection: Connection) -> None:
        """Count what a connection could not decode; time counts as lost from now on."""
        with self._lock:
            self._hearing = False
            self._broken_packets += connection.broken_packets
            self._broken_samples += connection.blocks.broken_samples


def thread_cpu_s(native_id: int) -> float:
    """Return the processor time of one thread of this process in seconds; 0 if the kernel does not report it."""
    try:
        fields = Path(f"/proc/self/task/{native_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
