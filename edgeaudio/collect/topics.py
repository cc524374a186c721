"""Which topics are received, and which of them are a shard's (docs/mqtt.md). Pure."""

from __future__ import annotations

import re
from typing import Final

_SHARD: Final = re.compile(r"(?P<device>[^/]+)/_shard/(?P<index>[0-9]{1,5})/(?P<rest>availability|health)")


def history_filters(base: str, group: str | None) -> tuple[str, ...]:
    """Return the filters of what happened, which one consumer of the group receives; of no group: each."""
    topics = ("+/+/detection", "+/+/status", "+/health", "+/_shard/+/health")
    return tuple(f"{base}/{topic}" if group is None else f"$share/{group}/{base}/{topic}" for topic in topics)


def state_filters(base: str) -> tuple[str, ...]:
    """Return the filters of what is now, with what the broker has retained."""
    return tuple(f"{base}/{topic}" for topic in ("+/availability", "+/_shard/+/availability", "+/+/status"))


def without_shard(base: str, topic: str) -> tuple[str, str]:
    """Return a topic as a device without shards has it, and the shard's number; empty: it is no shard's."""
    found = _SHARD.fullmatch(topic, len(base) + 1) if topic.startswith(f"{base}/") else None
    return (topic, "") if found is None else (f"{base}/{found['device']}/{found['rest']}", found["index"])
