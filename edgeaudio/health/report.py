"""The health report: what `<base>/<device>/health` says.

Owns: which numbers are in it, and their names. Pure. Does not know: where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edgeaudio.health.timings import TimedModel
from edgeaudio.outbox.outbox import OutboxStats
from edgeaudio.recognise.model import RUNTIME
from edgeaudio.sinks.mqtt.broker import BrokerStatus
from edgeaudio.sinks.mqtt.messages import Json, timestamp
from edgeaudio.types import SourceStatus


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


def health_report(
    now: datetime,
    agent: AgentNumbers,
    sources: Sequence[SourceNumbers],
    models: Sequence[TimedModel],
    outbox: OutboxStats,
    broker: BrokerStatus,
    machine: MachineNumbers,
) -> dict[str, Json]:
    """The report's values, ready for JSON."""
    return {
        "at": timestamp(now),
        "version": agent.version,
        "host": agent.host,
        "started_at": timestamp(agent.started_at),
        "uptime_s": round(agent.uptime_s, 1),
        "restarts": agent.restarts,
        "clock_steps": agent.clock_steps,
        "log_dropped": agent.log_dropped,
        "last_crash": _crash(agent.last_crash) if agent.last_crash else None,
        "sources": {source.status.source: _source(source) for source in sources},
        "models": {model.manifest.name: _model(model) for model in models},
        "outbox": {
            "depth": outbox.depth,
            "bytes": outbox.bytes,
            "oldest_s": _rounded(outbox.oldest_s),
            "dropped": outbox.dropped,
            "expired": outbox.expired,
            "trouble": outbox.trouble,
            "put_aside": outbox.put_aside,
        },
        "broker": {
            "state": broker.state.value,
            "since": timestamp(broker.since),
            "reason": broker.reason.value if broker.reason else None,
            "detail": broker.detail,
            "next_try": timestamp(broker.next_try) if broker.next_try else None,
            "protocol": broker.protocol,
            "delivery": broker.delivery,
            "refused_topics": broker.refused_topics,
            "quarantined": dict(broker.quarantined),
        },
        "cpu_percent": _rounded(machine.cpu_percent),
        "memory_mb": _rounded(machine.memory_mb),
        "memory_limit_mb": _rounded(machine.memory_limit_mb),
        "temperature_c": _rounded(machine.temperature_c),
        "throttled": machine.throttled,
        "disk_free_mb": _rounded(machine.disk_free_mb),
    }


def _crash(crash: Crash) -> dict[str, Json]:
    return {"at": timestamp(crash.at), "reason": crash.reason.value, "detail": crash.detail}


def _source(numbers: SourceNumbers) -> dict[str, Json]:
    status = numbers.status
    return {
        "state": status.state.value,
        "reason": status.reason.value if status.reason else None,
        "detail": status.detail,
        "since": timestamp(status.since),
        "heard_s": _rounded(numbers.heard_s),
        "lost_s": _rounded(numbers.lost_s),
        "quiet_s": _rounded(numbers.quiet_s),
        "lag_s": _rounded(numbers.lag_s),
        "clock_drift_ppm": _rounded(numbers.clock_drift_ppm, 0),
        "connections": numbers.connections,
        "events": numbers.events,
        "internal_errors": numbers.internal_errors,
    }


def _model(model: TimedModel) -> dict[str, Json]:
    return {
        "version": model.manifest.version,
        "sha256": model.manifest.sha256,
        "runtime": RUNTIME,
        "inferences": model.count,
        "p50_ms": _rounded(model.percentile_ms(50), 2),
        "p95_ms": _rounded(model.percentile_ms(95), 2),
    }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
