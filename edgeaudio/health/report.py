"""The health report: a snapshot of the agent and all of its parts, as dataclasses.

Owns: which numbers are in it, and their names. Pure.
Does not know: where the numbers come from, how they are written for others (each sink has its way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edgeaudio.health.broker import BrokerStatus
from edgeaudio.types import OutboxStats, SourceStatus


@dataclass(frozen=True, slots=True)
class SourceNumbers:
    """One source since the start of the agent. `heard_s` and `lost_s` add up to the time it was on."""

    status: SourceStatus
    heard_s: float
    lost_s: float  # no connection, holes, or dropped because the recogniser was too slow
    quiet_s: float  # of those heard: the sender sent nothing, for it was quiet
    clock_drift_ppm: float | None  # how much faster than this machine's the sender's clock is
    lag_s: float  # heard and not yet recognised
    connections: int
    events: int
    internal_errors: int  # exceptions that nobody expected, in its reading or recognition


@dataclass(frozen=True, slots=True)
class MachineNumbers:
    """The process and the board; None where the machine does not tell."""

    cpu_percent: float
    memory_mb: float | None
    memory_limit_mb: float | None  # past which connections are ended
    temperature_c: float | None
    throttled: bool | None
    disk_free_mb: float | None


class CrashReason(StrEnum):
    """How a process of the agent ended that was not stopped, told apart by evidence."""

    SIGNAL = "signal"  # SIGSEGV and the like; SIGABRT is also the service manager's watchdog
    STUCK = "stuck"  # a part no longer moved, and the process ended itself
    EXCEPTION = "exception"  # that nobody expected
    OUT_OF_MEMORY = "out_of_memory"  # killed by the kernel
    MACHINE_RESET = "machine_reset"  # the machine went down without stopping it
    KILLED = "killed"  # without a word


@dataclass(frozen=True, slots=True)
class Crash:
    """An end in disorder."""

    at: datetime  # where nobody saw it, the start after it
    reason: CrashReason
    detail: str  # one line for people, without secrets


@dataclass(frozen=True, slots=True)
class AgentNumbers:
    """The agent as a whole."""

    version: str
    host: str  # the machine's name: two devices of one name are told apart by it
    started_at: datetime
    uptime_s: float
    restarts: int
    clock_steps: int
    log_dropped: int  # log lines, for standard error took no more
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
    """How a best-effort sink is."""

    RUNNING = "running"
    FAILED = "failed"  # it raised; it is tried again
    STALLED = "stalled"  # it has not returned from an item for too long


@dataclass(frozen=True, slots=True)
class SinkNumbers:
    """One best-effort sink since the start of the agent."""

    name: str
    state: SinkState
    detail: str  # one line for people, without secrets; empty while it runs
    failures: int  # exceptions and stalls
    dropped: int  # items other than Blocks, for it did not take them in time
    dropped_s: float  # Blocks, of all sources together
    lag_s: float  # how long the oldest item has been waiting


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
