"""The payload of `<base>/<device>/health`.

Owns: the names and the rounding of its numbers. Pure. Does not know: where they come from.
"""

from __future__ import annotations

from edgeaudio.clock import timestamp
from edgeaudio.health.report import (
    Crash,
    HealthReport,
    ModelNumbers,
    RaisedThreshold,
    SinkNumbers,
    SourceNumbers,
    TranscriptNumbers,
)
from edgeaudio.sinks.mqtt.messages import Json


def health_values(report: HealthReport) -> dict[str, Json]:
    """Return a report as values for JSON.

    Home Assistant's discovery reads these paths: `restarts`, `temperature_c` (null where unknown), `throttled` (bool or
    null), `outbox.depth`, and `sources.<name>.lost_s`.
    """
    agent, outbox, broker, machine = report.agent, report.outbox, report.broker, report.machine
    shard: dict[str, Json] = {}
    if report.shard is not None:
        shard["shard"] = {"index": report.shard.index, "count": report.shard.count}
    return {
        **shard,
        "at": timestamp(report.at),
        "version": agent.version,
        "host": agent.host,
        "started_at": timestamp(agent.started_at),
        "uptime_s": round(agent.uptime_s, 1),
        "restarts": agent.restarts,
        "clock_steps": agent.clock_steps,
        "log_dropped": agent.log_dropped,
        "last_crash": _crash(agent.last_crash) if agent.last_crash else None,
        "sources": {source.status.source: _source(source) for source in report.sources},
        "sinks": {sink.name: _sink(sink) for sink in report.sinks},
        "transcripts": None if report.transcripts is None else _transcripts(report.transcripts),
        "models": {model.name: _model(model) for model in report.models},
        "outbox": {
            "depth": outbox.depth,
            "bytes": outbox.bytes,
            "oldest_s": _rounded(outbox.oldest_s),
            "dropped": outbox.dropped,
            "expired": outbox.expired,
            "trouble": outbox.trouble,
            "damaged_file": outbox.damaged_file,
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
        "snoozed": {label: timestamp(until) for label, until in numbers.snoozed.items()},
        "withheld": dict(numbers.withheld),
        "raised": {label: _raised(each) for label, each in numbers.raised.items()},
    }


def _raised(raised: RaisedThreshold) -> dict[str, Json]:
    return {
        "from": round(raised.chosen, 3),
        "to": round(raised.in_force, 3),
        "since": timestamp(raised.since),
    }


def _model(model: ModelNumbers) -> dict[str, Json]:
    return {
        "version": model.version,
        "sha256": model.sha256,
        "runtime": model.runtime,
        "inferences": model.inferences,
        "p50_ms": _rounded(model.p50_ms, 2),
        "p95_ms": _rounded(model.p95_ms, 2),
    }


def _sink(sink: SinkNumbers) -> dict[str, Json]:
    return {
        "state": sink.state.value,
        "detail": sink.detail,
        "failures": sink.failures,
        "dropped": sink.dropped,
        "dropped_s": _rounded(sink.dropped_s),
        "lag_s": _rounded(sink.lag_s),
        "lost": sink.lost,
    }


def _transcripts(numbers: TranscriptNumbers) -> dict[str, Json]:
    return {
        "sources": list(numbers.sources),
        "recogniser": numbers.recogniser,
        "trouble": numbers.trouble,
        "waiting": numbers.waiting,
        "waiting_bytes": numbers.waiting_bytes,
        "oldest_s": _rounded(numbers.oldest_s),
        "sent": numbers.sent,
        "empty": numbers.empty,
        "invented": numbers.invented,
        "refused": numbers.refused,
        "failures": numbers.failures,
        "dropped": numbers.dropped,
    }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
