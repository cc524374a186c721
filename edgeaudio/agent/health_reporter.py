"""Health reports: what is in them, and when the next one is due.

Owns: the gathering of all parts' numbers. Does not know: how a report is written or sent.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from edgeaudio.agent.last_crash import CrashLog
from edgeaudio.agent.memory_watch import MemoryWatch
from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.agent.source_manager import SourceManager
from edgeaudio.clock import Clock
from edgeaudio.health.machine import Machine
from edgeaudio.health.report import AgentNumbers, HealthReport, MachineNumbers, TranscriptNumbers
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.recognise.interpreter import RUNTIME
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.stderr import Stderr
from edgeaudio.types import Reason, SourceState, SourceStatus
from edgeaudio.version import __version__

MIN_INTERVAL_S = 1.0  # changes of state are published at once, but not more often than this


@dataclass(frozen=True, slots=True)
class ReportedParts:
    """Parts of an agent whose numbers are reported."""

    clock: Clock
    started_at: datetime
    started_s: float  # monotonic
    restarts: int
    outbox: Outbox
    sender: Sender
    sources: SourceManager
    sinks: Sequence[SinkRunner]
    crashes: CrashLog
    machine: Machine
    memory_watch: MemoryWatch
    stderr: Stderr | None
    transcripts: Callable[[], TranscriptNumbers | None] = lambda: None


class HealthReporter:
    """Reports of one agent. Used by the main thread, but for `request`."""

    def __init__(self, parts: ReportedParts) -> None:
        self._parts = parts
        self._requested = True
        self._reported_s = 0.0  # monotonic time of the last report
        self.last: HealthReport | None = None

    def request(self) -> None:
        """Have the next report made soon. Safe for any thread."""
        self._requested = True

    def next_report(self) -> HealthReport | None:
        """Return a report if one is due: every `health.interval_s`, on request, or when a source's state changed."""
        now_s = time.monotonic()
        since_s = now_s - self._reported_s
        is_news = since_s >= MIN_INTERVAL_S and (self._requested or self._has_changed())
        if not is_news and since_s < self._parts.sources.settings.health.interval_s:
            return None
        self._reported_s, self._requested = now_s, False
        self.last = self.report()
        return self.last

    def report(self) -> HealthReport:
        """Return a snapshot of the agent and all of its parts."""
        parts = self._parts
        return HealthReport(
            at=parts.clock.utc(),
            agent=AgentNumbers(
                version=__version__,
                host=socket.gethostname(),
                started_at=parts.started_at,
                uptime_s=parts.clock.monotonic() - parts.started_s,
                restarts=parts.restarts,
                clock_steps=parts.clock.steps,
                log_dropped=0 if parts.stderr is None else parts.stderr.dropped,
                last_crash=parts.crashes.last,
            ),
            sources=[worker.numbers() for worker in parts.sources],
            models=[model.numbers(RUNTIME) for model in parts.sources.models.values()],
            outbox=parts.outbox.stats(),
            broker=parts.sender.status,
            machine=MachineNumbers(
                cpu_percent=parts.machine.cpu_percent(),
                memory_mb=parts.machine.memory_mb(),
                memory_limit_mb=parts.memory_watch.limit_mb,
                temperature_c=parts.machine.temperature_c(),
                throttled=parts.machine.throttled(),
                disk_free_mb=parts.machine.disk_free_mb(parts.sources.settings.state_dir),
            ),
            sinks=[runner.numbers() for runner in parts.sinks],
            transcripts=parts.transcripts(),
            shard=parts.sources.settings.shard.shard(),
        )

    def _has_changed(self) -> bool:
        """True if a source's state is not the reported one; a new time of the next try alone is no change."""
        reported = () if self.last is None else self.last.sources
        return _states(source.status for source in reported) != _states(
            worker.health.status for worker in self._parts.sources
        )


def _states(statuses: Iterable[SourceStatus]) -> Mapping[str, tuple[SourceState, Reason | None]]:
    return {status.source: (status.state, status.reason) for status in statuses}
