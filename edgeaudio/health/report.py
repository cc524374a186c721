"""The health report: a snapshot of the agent and all of its parts, as dataclasses.

Owns: which numbers are in it, and their names.
Does not know: where the numbers come from, how a sink writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from edgeaudio.health.broker import BrokerStatus
from edgeaudio.shards import Shard
from edgeaudio.types import OutboxStats, SourceStatus


@dataclass(frozen=True, slots=True)
class RaisedThreshold:
    """A label's threshold that rises while a sound goes on that barely meets it."""

    chosen: float  # by settings or a command
    in_force: float
    since: datetime  # of the sound


@dataclass(frozen=True, slots=True)
class SourceNumbers:
    """One source since the start of the agent. `heard_s` and `lost_s` add up to the time it was on."""

    status: SourceStatus
    heard_s: float
    lost_s: float  # no connection, holes, or dropped because the recogniser was too slow
    quiet_s: float  # part of heard_s in which the sender paused, for it was quiet
    clock_drift_ppm: float | None  # speed of the sender's clock relative to this machine's
    lag_s: float  # heard and not yet recognised
    connections: int
    events: int  # published
    internal_errors: int  # unexpected exceptions in its reading or recognition
    snoozed: Mapping[str, datetime] = field(default_factory=dict)  # labels, and until when
    withheld: Mapping[str, int] = field(default_factory=dict)  # events that were not published at once, by reason
    raised: Mapping[str, RaisedThreshold] = field(default_factory=dict)  # by label


@dataclass(frozen=True, slots=True)
class MachineNumbers:
    """The process and the board; None: the machine does not have the value."""

    cpu_percent: float
    memory_mb: float | None
    memory_limit_mb: float | None  # above it connections are ended
    temperature_c: float | None
    throttled: bool | None
    disk_free_mb: float | None


class CrashReason(StrEnum):
    """How a process of the agent ended that was not stopped, by evidence."""

    SIGNAL = "signal"  # SIGSEGV and the like; SIGABRT is also the service manager's watchdog
    STUCK = "stuck"  # a part stalled, and the process ended itself
    EXCEPTION = "exception"  # unexpected
    OUT_OF_MEMORY = "out_of_memory"  # killed by the kernel
    MACHINE_RESET = "machine_reset"  # a power cut, a system crash or a reset
    KILLED = "killed"  # without other evidence


@dataclass(frozen=True, slots=True)
class Crash:
    """An end of the process without a stop."""

    at: datetime  # of the crash; of the next start, if the crash left no time
    reason: CrashReason
    detail: str  # one line for people, without secrets


@dataclass(frozen=True, slots=True)
class AgentNumbers:
    """The agent as a whole."""

    version: str
    host: str  # the machine's name: distinguishes two devices of one name
    started_at: datetime
    uptime_s: float
    restarts: int
    clock_steps: int
    log_dropped: int  # log lines that were dropped because standard error was full
    last_crash: Crash | None  # of this or an earlier version


@dataclass(frozen=True, slots=True)
class ModelNumbers:
    """One model."""

    name: str
    version: str
    sha256: str  # of the .tflite
    runtime: str
    inferences: int
    p50_ms: float | None  # of the latest inferences; None before the first
    p95_ms: float | None


class SinkState(StrEnum):
    """State of a best-effort sink."""

    RUNNING = "running"
    FAILED = "failed"  # it raised; it is tried again
    STALLED = "stalled"  # it has not returned in time


@dataclass(frozen=True, slots=True)
class SinkNumbers:
    """One best-effort sink since the start of the agent."""

    name: str
    state: SinkState
    detail: str  # one line for people, without secrets; empty while nothing is wrong
    failures: int  # exceptions and stalls
    dropped: int  # items other than Blocks that it did not take in time
    dropped_s: float  # seconds of Blocks, of all sources together
    lag_s: float  # age of the oldest waiting item
    lost: int = 0  # results that it took and could not write, by its own count


@dataclass(frozen=True, slots=True)
class TranscriptNumbers:
    """Transcripts since the start of the agent. Of utterances, if not said otherwise."""

    sources: Sequence[str]  # that are transcribed
    recogniser: str  # its name
    trouble: str  # why utterances wait, one line for people, without secrets; empty: the recogniser answers
    waiting: int
    waiting_bytes: int
    oldest_s: float | None  # age of the oldest that waits; None: none waits
    sent: int  # transcripts that were committed to the outbox
    empty: int  # in which nothing was said, those with invented text alone included
    invented: int  # those in which the recogniser invented all of the text
    refused: int  # that the recogniser cannot take
    failures: int  # tries that failed
    dropped: int  # by the bounds of the queue, or that could not be kept


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The agent and all of its parts at one moment."""

    at: datetime
    agent: AgentNumbers
    sources: Sequence[SourceNumbers]
    models: Sequence[ModelNumbers]
    outbox: OutboxStats
    broker: BrokerStatus
    machine: MachineNumbers
    sinks: Sequence[SinkNumbers] = ()
    transcripts: TranscriptNumbers | None = None  # None: nothing is transcribed
    shard: Shard | None = None  # None: the agent has all sources of its settings
