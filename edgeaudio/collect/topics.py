"""Which topics are received (docs/mqtt.md). Pure."""

from __future__ import annotations


def history_filters(base: str, group: str | None) -> tuple[str, ...]:
    """Return the filters of what happened, which one consumer of the group receives; of no group: each."""
    topics = ("+/+/detection", "+/+/status", "+/health", "+/_shard/+/health")
    return tuple(f"{base}/{topic}" if group is None else f"$share/{group}/{base}/{topic}" for topic in topics)


def state_filters(base: str) -> tuple[str, ...]:
    """Return the filters of what is now, with what the broker has retained."""
    return tuple(f"{base}/{topic}" for topic in ("+/availability", "+/_shard/+/availability", "+/+/status"))
