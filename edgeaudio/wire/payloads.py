"""The wire contract, read: topics and payloads of docs/mqtt.md as frozen values.

Owns: which topics are read, and the bounds of every field.
Does not know: connections (consumer.py), what becomes of the values (dashboard/, collect/). Pure.

Whoever may publish to the broker can send anything. A known field of the wrong type or out of its bounds refuses the
whole message; unknown keys are ignored, unknown states and reasons are kept as words. Device and source are those of
the topic, which a broker's access rules cover, and never those of the payload. Text stays text: it is cut and freed of
control characters here, and whoever shows it escapes it for its own medium.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from edgeaudio.shards import MAX_COUNT
from edgeaudio.slugs import is_slug
from edgeaudio.types import MAX_MEMBERS
from edgeaudio.wire.payload_fields import (
    WireError,
    clean,
    count,
    identifier,
    inner,
    number,
    read_table,
    required,
    string,
    tables,
    text,
    time,
    word,
)

MAX_PAYLOAD = 1_000_000  # bytes
MAX_NAME = 200  # characters of a label or a model's name
MAX_CLIP_S = 60.0
MAX_SCORES = 100  # labels of a clip
MAX_MODELS = 50  # of a device
MAX_RAISED = 20  # thresholds of a source that are kept; the others are counted
_MAX_SECONDS = 1e10

LABEL_KINDS: Final = frozenset({"threshold", "snooze", "cooldown"})
KINDS: Final = LABEL_KINDS | {
    *("availability", "health", "status", "detection", "live", "scores", "audio", "command", "enabled"),
    *("clip", "image", "info"),
}
MAX_TOPIC = 400  # characters
_INDEX = re.compile(r"0|[1-9][0-9]{0,2}")  # under MAX_COUNT
_HASH = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the broker has the connection of a device, or of one shard of a centre."""

    device: str
    online: bool
    shard: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """State of one source."""

    device: str
    source: str
    state: str
    reason: str | None
    detail: str
    since: datetime
    codec: str
    sample_rate: int | None  # Hz
    channels: int | None
    next_try: datetime | None


@dataclass(frozen=True, slots=True)
class RaisedThreshold:
    """The threshold of a label that has risen by itself."""

    label: str
    chosen: float  # by settings or command
    in_force: float
    since: datetime


@dataclass(frozen=True, slots=True)
class SourceNumbers:
    """What a health report has of one source."""

    state: str
    reason: str | None
    detail: str
    since: datetime
    heard_s: float | None
    lost_s: float | None
    lag_s: float | None
    snoozed: int = 0  # labels
    withheld: int = 0  # events that were not published, as their label was snoozed or had just had one
    raised: tuple[RaisedThreshold, ...] = ()  # the first, by label
    raised_count: int = 0  # of all of them


@dataclass(frozen=True, slots=True)
class Health:
    """The report of a device on itself, or of one shard of a centre. None: it does not report it."""

    device: str
    at: datetime
    version: str
    started_at: datetime | None
    restarts: int | None
    cpu_percent: float | None  # of one core
    memory_mb: float | None
    temperature_c: float | None
    disk_free_mb: float | None
    outbox_messages: int | None
    outbox_bytes: int | None
    outbox_oldest_s: float | None  # None: empty
    outbox_dropped: int | None
    outbox_trouble: str  # why messages are in memory; empty: they are on the disk
    sources: Mapping[str, SourceNumbers] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)  # the SHA-256 of each model's file
    shard: int | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Beginning or end of a sound."""

    device: str
    source: str
    id: str
    kind: Literal["onset", "offset"]
    label: str
    score: float
    at: datetime
    at_error_s: float | None
    duration_s: float
    model: str
    seq: int
    seq_epoch: str
    test: bool
    shard: int | None = None  # of a centre, which counts its detections by itself
    members: tuple[tuple[str, float], ...] = ()  # of a fused model: names, and their scores where `score` is from

    @property
    def counter(self) -> str:
        """The name of what counts this detection; a slug has no `/`."""
        return self.device if self.shard is None else f"{self.device}/{self.shard}"


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model may have heard in one clip of a source that is watched live."""

    device: str
    source: str
    at: datetime
    duration_s: float
    scores: Mapping[str, float]  # by label, the highest first


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """A device's answer to the wish to watch a source live, or to listen to it."""

    device: str
    source: str
    is_sound: bool
    error: str  # why it refuses; empty: it does not


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """A device's answer to any other command."""

    device: str
    topic: str  # of the command, without base and device
    error: str  # why it refuses; empty: it does not


@dataclass(frozen=True, slots=True)
class Removed:
    """A retained topic was cleared: the source, or with None the whole device, or its shard, is no more."""

    device: str
    source: str | None
    shard: int | None = None


Value: TypeAlias = Availability | Status | Health | Detection | Removed | Scores | LeaseAnswer | CommandAnswer


def state_filters(base: str) -> tuple[str, ...]:
    """Return the topic filters of all state that is read."""
    shards = (f"{base}/+/_shard/+/availability", f"{base}/+/_shard/+/health")
    return f"{base}/+/availability", f"{base}/+/health", *shards, f"{base}/+/+/status"


def detection_filter(base: str) -> str:
    """Return the topic filter of detections."""
    return f"{base}/+/+/detection"


def kind_of(topic: str) -> str:
    """Return the kind of a topic, the level that names it if it is one that is read, else "other"."""
    *_, parent, last = ("", *topic.split("/"))
    return parent if parent in LABEL_KINDS else last if last in KINDS else "other"


def parse(base: str, topic: str, payload: bytes) -> Value | None:
    """Return what a message says; None: nothing that is shown. Raises WireError."""
    if not topic.startswith(f"{base}/"):
        return None
    levels, shard = _levels(topic[len(base) + 1 :])
    if len(levels) not in {2, 3} or not all(map(is_slug, levels)):
        return None
    if len(payload) > MAX_PAYLOAD:
        raise WireError(f"is longer than {MAX_PAYLOAD} bytes")
    value: Value | None = None
    match levels:
        case [device, "availability"]:
            value = _availability(device, shard, payload)
        case [device, "health"] if payload:
            value = _health(device, shard, read_table(payload))
        case [device, source, "status"]:
            value = _status(device, source, read_table(payload)) if payload else Removed(device, source)
        case [device, source, "detection"] if payload:
            value = _detection(device, source, read_table(payload))
        case [device, source, "scores"] if payload:
            value = _scores(device, source, read_table(payload))
        case [device, "command"] if payload:
            value = _answer(base, device, read_table(payload))
    return value


def _levels(topic: str) -> tuple[list[str], int | None]:
    """Return the levels of a topic without those of a shard, and its index."""
    match topic.split("/"):
        case [device, "_shard", index, ("availability" | "health") as kind] if _INDEX.fullmatch(index):
            return [device, kind], int(index)
        case levels:
            return levels, None


def _availability(device: str, shard: int | None, payload: bytes) -> Availability | Removed:
    if not payload:
        return Removed(device, None, shard)
    if payload not in {b"online", b"offline"}:
        raise WireError("is neither online nor offline")
    return Availability(device, payload == b"online", shard)


def _status(device: str, source: str, table: Mapping[str, Any]) -> Status:
    return Status(
        device,
        source,
        state=required(word(table, "state"), "state"),
        reason=word(table, "reason"),
        detail=text(table, "detail"),
        since=required(time(table, "since"), "since"),
        codec=text(table, "codec", 40),
        sample_rate=count(table, "sample_rate"),
        channels=count(table, "channels"),
        next_try=time(table, "next_try"),
    )


def _health(device: str, shard: int | None, table: Mapping[str, Any]) -> Health:
    outbox = inner(table, "outbox")
    sources = inner(table, "sources")
    if not all(map(is_slug, sources)):
        raise WireError("sources: has a name that is no slug")
    return Health(
        device,
        at=required(time(table, "at"), "at"),
        version=text(table, "version", 40),
        started_at=time(table, "started_at"),
        restarts=count(table, "restarts"),
        cpu_percent=number(table, "cpu_percent", 0, 1e6),
        memory_mb=number(table, "memory_mb", 0, 1e9),
        temperature_c=number(table, "temperature_c", -300, 1e4),
        disk_free_mb=number(table, "disk_free_mb", 0, 1e12),
        outbox_messages=count(outbox, "depth"),
        outbox_bytes=count(outbox, "bytes"),
        outbox_oldest_s=number(outbox, "oldest_s", 0, _MAX_SECONDS),
        outbox_dropped=count(outbox, "dropped"),
        outbox_trouble=text(outbox, "trouble"),
        sources=dict(zip(sources, map(_source, tables(sources, "sources")), strict=True)),
        models=_models(inner(table, "models")),
        shard=shard,
    )


def _models(table: Mapping[str, Any]) -> Mapping[str, str]:
    if len(table) > MAX_MODELS:
        raise WireError(f"models: has over {MAX_MODELS} models")
    hashes = {
        clean(name, MAX_NAME): string(model, "sha256")
        for name, model in zip(table, tables(table, "models"), strict=True)
    }
    if not all(_HASH.fullmatch(sha256) for sha256 in hashes.values() if sha256):
        raise WireError("models: has a sha256 that is no hexadecimal number of 64 digits at most")
    return {name: sha256 for name, sha256 in hashes.items() if sha256}


def _source(table: Mapping[str, Any]) -> SourceNumbers:
    withheld, raised = inner(table, "withheld"), inner(table, "raised")
    return SourceNumbers(
        state=required(word(table, "state"), "state"),
        reason=word(table, "reason"),
        detail=text(table, "detail"),
        since=required(time(table, "since"), "since"),
        heard_s=number(table, "heard_s", 0, _MAX_SECONDS),
        lost_s=number(table, "lost_s", 0, _MAX_SECONDS),
        lag_s=number(table, "lag_s", 0, _MAX_SECONDS),
        snoozed=len(inner(table, "snoozed")),
        withheld=sum(count(withheld, reason) or 0 for reason in ("snooze", "cooldown")),
        raised=_raised(raised),
        raised_count=len(raised),
    )


def _raised(table: Mapping[str, Any]) -> tuple[RaisedThreshold, ...]:
    if not table:
        return ()
    found = [
        RaisedThreshold(
            clean(label, MAX_NAME),
            chosen=required(number(each, "from", 0, 1), "from"),
            in_force=required(number(each, "to", 0, 1), "to"),
            since=required(time(each, "since"), "since"),
        )
        for label, each in zip(table, tables(table, "raised"), strict=True)
    ]
    return tuple(sorted(found, key=lambda each: each.label)[:MAX_RAISED])


def _detection(device: str, source: str, table: Mapping[str, Any]) -> Detection | None:
    kind = table.get("kind")
    if kind not in ("onset", "offset"):  # a tuple: what comes may not be hashable
        return None
    label, model = text(table, "label", MAX_NAME), text(table, "model", MAX_NAME)
    if not label:
        raise WireError("label: is missing")
    return Detection(
        device,
        source,
        id=required(identifier(table, "id"), "id"),
        kind=kind,
        label=label,
        score=required(number(table, "score", 0, 1), "score"),
        at=required(time(table, "at"), "at"),
        at_error_s=number(table, "at_error_s", 0, _MAX_SECONDS),
        duration_s=number(table, "duration_s", 0, _MAX_SECONDS) or 0.0,
        model=model,
        seq=required(count(table, "seq"), "seq"),
        seq_epoch=required(identifier(table, "seq_epoch"), "seq_epoch"),
        test=table.get("test") is True,
        shard=_shard(table),
        members=_members(inner(table, "members")),
    )


def _members(table: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    if len(table) > MAX_MEMBERS:
        raise WireError(f"members: has over {MAX_MEMBERS} models")
    return tuple(_named_scores(table, "members"))


def _named_scores(table: Mapping[str, Any], key: str) -> Iterator[tuple[str, float]]:
    """Yield names with their scores. A name is no field's: an error must not hold it."""
    for name, score in table.items():
        yield clean(name, MAX_NAME), required(number({key: score}, key, 0, 1), key)


def _shard(table: Mapping[str, Any]) -> int | None:
    index = count(table, "shard")
    if index is not None and index >= MAX_COUNT:
        raise WireError(f"shard: is over {MAX_COUNT - 1}")
    return index


def _scores(device: str, source: str, table: Mapping[str, Any]) -> Scores:
    scores = inner(table, "scores")
    if len(scores) > MAX_SCORES:
        raise WireError(f"scores: has over {MAX_SCORES} labels")
    return Scores(
        device,
        source,
        at=required(time(table, "at"), "at"),
        duration_s=required(number(table, "duration_s", 0, MAX_CLIP_S), "duration_s"),
        scores=dict(_named_scores(scores, "scores")),
    )


def _answer(base: str, device: str, table: Mapping[str, Any]) -> LeaseAnswer | CommandAnswer | None:
    """Return the result of a command."""
    topic = string(table, "topic") or ""
    if not topic.startswith(f"{base}/{device}/") or len(topic) > MAX_TOPIC:
        return None
    own = topic.removeprefix(f"{base}/{device}/")
    error = "" if table.get("ok") is True else text(table, "error") or "the device refuses it, and does not say why"
    match own.split("/"):
        case [source, "live", "set"] if is_slug(source):
            return LeaseAnswer(device, source, is_sound=False, error=error)
        case [source, "live", "audio", "set"] if is_slug(source):
            return LeaseAnswer(device, source, is_sound=True, error=error)
        case _:
            return CommandAnswer(device, own, error)
