"""The wire contract, read: topics and payloads of docs/mqtt.md as frozen values.

Owns: which topics are read, and the bounds of every field.
Does not know: connections (consumer.py), what becomes of the values (fleet.py, history.py). Pure.

Whoever may publish to the broker can send anything. A known field of the wrong type or out of its bounds refuses the
whole message; unknown keys are ignored, unknown states and reasons are kept as words. Device and source are those of
the topic, which a broker's access rules cover, and never those of the payload. Text stays text: it is cut and freed of
control characters here, and whoever shows it escapes it for its own medium.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn, TypeAlias, TypeVar

from edgeaudio.schema_versions import KEY, PAYLOAD_VERSION
from edgeaudio.slugs import is_slug

MAX_PAYLOAD = 1_000_000  # bytes
MAX_NAME = 200  # characters of a label or a model's name
MAX_TEXT = 500  # characters of a sentence for people
MAX_CLIP_S = 60.0
MAX_SCORES = 100  # labels of a clip
MAX_MODELS = 50  # of a device
MAX_COUNT = 1 << 53  # JSON numbers are exact below it
_MAX_SECONDS = 1e10
_FIRST_YEAR, _LAST_YEAR = 1970, 2199

LABEL_KINDS: Final = frozenset({"threshold", "snooze", "cooldown"})
KINDS: Final = LABEL_KINDS | {
    *("availability", "health", "status", "detection", "live", "scores", "audio", "command", "enabled"),
    *("clip", "image", "info"),
}
MAX_TOPIC = 400  # characters
_HASH = re.compile(r"[0-9a-f]{1,64}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(?:Z|[+-][0-9]{2}:[0-9]{2})")
_T = TypeVar("_T")
_MISSING: Final[Mapping[str, Any]] = {}


class WireError(ValueError):
    """A message that breaks the contract: which field, and how. Holds nothing of the message but the field's name."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the broker has a device's connection."""

    device: str
    online: bool


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


@dataclass(frozen=True, slots=True)
class Health:
    """A device's report on itself. None: the device does not report it."""

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
    """A retained topic was cleared: the source, or with None the whole device, is no more."""

    device: str
    source: str | None


Value: TypeAlias = Availability | Status | Health | Detection | Removed | Scores | LeaseAnswer | CommandAnswer


def state_filters(base: str) -> tuple[str, ...]:
    """Return the topic filters of all state that is read."""
    return f"{base}/+/availability", f"{base}/+/health", f"{base}/+/+/status"


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
    levels = topic[len(base) + 1 :].split("/")
    if len(levels) not in {2, 3} or not all(map(is_slug, levels)):
        return None
    if len(payload) > MAX_PAYLOAD:
        raise WireError(f"is longer than {MAX_PAYLOAD} bytes")
    value: Value | None = None
    match levels:
        case [device, "availability"]:
            value = _availability(device, payload)
        case [device, "health"] if payload:
            value = _health(device, _table(payload))
        case [device, source, "status"]:
            value = _status(device, source, _table(payload)) if payload else Removed(device, source)
        case [device, source, "detection"] if payload:
            value = _detection(device, source, _table(payload))
        case [device, source, "scores"] if payload:
            value = _scores(device, source, _table(payload))
        case [device, "command"] if payload:
            value = _answer(base, device, _table(payload))
    return value


def _availability(device: str, payload: bytes) -> Availability | Removed:
    if not payload:
        return Removed(device, None)
    if payload not in {b"online", b"offline"}:
        raise WireError("is neither online nor offline")
    return Availability(device, payload == b"online")


def _status(device: str, source: str, table: Mapping[str, Any]) -> Status:
    return Status(
        device,
        source,
        state=_required(_word(table, "state"), "state"),
        reason=_word(table, "reason"),
        detail=_text(table, "detail"),
        since=_required(_time(table, "since"), "since"),
        codec=_text(table, "codec", 40),
        sample_rate=_count(table, "sample_rate"),
        channels=_count(table, "channels"),
        next_try=_time(table, "next_try"),
    )


def _health(device: str, table: Mapping[str, Any]) -> Health:
    outbox = _inner(table, "outbox")
    sources = _inner(table, "sources")
    if not all(map(is_slug, sources)):
        raise WireError("sources: has a name that is no slug")
    return Health(
        device,
        at=_required(_time(table, "at"), "at"),
        version=_text(table, "version", 40),
        started_at=_time(table, "started_at"),
        restarts=_count(table, "restarts"),
        cpu_percent=_number(table, "cpu_percent", 0, 1e6),
        memory_mb=_number(table, "memory_mb", 0, 1e9),
        temperature_c=_number(table, "temperature_c", -300, 1e4),
        disk_free_mb=_number(table, "disk_free_mb", 0, 1e12),
        outbox_messages=_count(outbox, "depth"),
        outbox_bytes=_count(outbox, "bytes"),
        outbox_oldest_s=_number(outbox, "oldest_s", 0, _MAX_SECONDS),
        outbox_dropped=_count(outbox, "dropped"),
        outbox_trouble=_text(outbox, "trouble"),
        sources=dict(zip(sources, map(_source, _tables(sources, "sources")), strict=True)),
        models=_models(_inner(table, "models")),
    )


def _models(table: Mapping[str, Any]) -> Mapping[str, str]:
    if len(table) > MAX_MODELS:
        raise WireError(f"models: has over {MAX_MODELS} models")
    hashes = {
        clean(name, MAX_NAME): _string(model, "sha256")
        for name, model in zip(table, _tables(table, "models"), strict=True)
    }
    if not all(_HASH.fullmatch(sha256) for sha256 in hashes.values() if sha256):
        raise WireError("models: has a sha256 that is no hexadecimal number of 64 digits at most")
    return {name: sha256 for name, sha256 in hashes.items() if sha256}


def _source(table: Mapping[str, Any]) -> SourceNumbers:
    withheld = _inner(table, "withheld")
    return SourceNumbers(
        state=_required(_word(table, "state"), "state"),
        reason=_word(table, "reason"),
        detail=_text(table, "detail"),
        since=_required(_time(table, "since"), "since"),
        heard_s=_number(table, "heard_s", 0, _MAX_SECONDS),
        lost_s=_number(table, "lost_s", 0, _MAX_SECONDS),
        lag_s=_number(table, "lag_s", 0, _MAX_SECONDS),
        snoozed=len(_inner(table, "snoozed")),
        withheld=sum(_count(withheld, reason) or 0 for reason in ("snooze", "cooldown")),
    )


def _detection(device: str, source: str, table: Mapping[str, Any]) -> Detection | None:
    kind = table.get("kind")
    if kind not in ("onset", "offset"):  # a tuple: what comes may not be hashable
        return None
    label, model = _text(table, "label", MAX_NAME), _text(table, "model", MAX_NAME)
    if not label:
        raise WireError("label: is missing")
    return Detection(
        device,
        source,
        id=_required(_id(table, "id"), "id"),
        kind=kind,
        label=label,
        score=_required(_number(table, "score", 0, 1), "score"),
        at=_required(_time(table, "at"), "at"),
        at_error_s=_number(table, "at_error_s", 0, _MAX_SECONDS),
        duration_s=_number(table, "duration_s", 0, _MAX_SECONDS) or 0.0,
        model=model,
        seq=_required(_count(table, "seq"), "seq"),
        seq_epoch=_required(_id(table, "seq_epoch"), "seq_epoch"),
        test=table.get("test") is True,
    )


def _scores(device: str, source: str, table: Mapping[str, Any]) -> Scores:
    scores = _inner(table, "scores")
    if len(scores) > MAX_SCORES:
        raise WireError(f"scores: has over {MAX_SCORES} labels")
    return Scores(
        device,
        source,
        at=_required(_time(table, "at"), "at"),
        duration_s=_required(_number(table, "duration_s", 0, MAX_CLIP_S), "duration_s"),
        # a label is no field's name: an error must not hold it
        scores={
            clean(label, MAX_NAME): _required(_number({"scores": score}, "scores", 0, 1), "scores")
            for label, score in scores.items()
        },
    )


def _answer(base: str, device: str, table: Mapping[str, Any]) -> LeaseAnswer | CommandAnswer | None:
    """Return the result of a command."""
    topic = _string(table, "topic") or ""
    if not topic.startswith(f"{base}/{device}/") or len(topic) > MAX_TOPIC:
        return None
    own = topic.removeprefix(f"{base}/{device}/")
    error = "" if table.get("ok") is True else _text(table, "error") or "the device refuses it, and does not say why"
    match own.split("/"):
        case [source, "live", "set"] if is_slug(source):
            return LeaseAnswer(device, source, is_sound=False, error=error)
        case [source, "live", "audio", "set"] if is_slug(source):
            return LeaseAnswer(device, source, is_sound=True, error=error)
        case _:
            return CommandAnswer(device, own, error)


def _table(payload: bytes) -> Mapping[str, Any]:
    try:
        # a lone surrogate escape makes text that no file and no page can hold: _text replaces it
        table = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise WireError("is no JSON") from None
    if not isinstance(table, dict):
        raise WireError("is no JSON object")
    version = table.get(KEY)
    if type(version) is not int or version < 1:
        raise WireError(f"{KEY}: is missing")
    if version > PAYLOAD_VERSION:
        raise WireError(f"{KEY}: is newer than {PAYLOAD_VERSION}: upgrade the dashboard")
    return table


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _required(value: _T | None, key: str) -> _T:
    if value is None:
        raise WireError(f"{key}: is missing")
    return value


def _inner(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    if value is None:
        return _MISSING
    if not isinstance(value, dict):
        raise WireError(f"{key}: is no object")
    return value


def _tables(named: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    if not all(isinstance(table, dict) for table in named.values()):
        raise WireError(f"{key}: has an entry that is no object")  # its name is the sender's: not for the log
    return named.values()


def _string(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise WireError(f"{key}: is no text")
    return value


def _text(table: Mapping[str, Any], key: str, limit: int = MAX_TEXT) -> str:
    """Return a text for people on one line; empty where it is missing."""
    return clean(_string(table, key) or "", limit)


def clean(text: str, limit: int) -> str:
    """Return a text on one line, without control characters, and cut."""
    value = text[: limit + 1]
    clean = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in value).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _word(table: Mapping[str, Any], key: str) -> str | None:
    value = _string(table, key)
    if value is not None and not _WORD.fullmatch(value):
        raise WireError(f"{key}: is no word of a-z, 0-9 and _")
    return value


def _id(table: Mapping[str, Any], key: str) -> str | None:
    value = _string(table, key)
    if value is not None and not _ID.fullmatch(value):
        raise WireError(f"{key}: is not made of letters, digits and hyphens, at most 64")
    return value


def _number(table: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{key}: is no number")
    if not low <= value <= high:
        raise WireError(f"{key}: is not within {low:g} and {high:g}")
    return float(value)


def _count(table: Mapping[str, Any], key: str) -> int | None:
    value = table.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise WireError(f"{key}: is no count")
    return value


def _time(table: Mapping[str, Any], key: str) -> datetime | None:
    value = _string(table, key)
    return None if value is None else parse_time(value, key)


def parse_time(text: str, key: str) -> datetime:
    """Parse a time of RFC 3339. Raises WireError, which names `key`."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC) if _TIME.fullmatch(text) else None
    except (ValueError, OverflowError):
        at = None
    if at is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise WireError(f"{key}: is no time of RFC 3339 from {_FIRST_YEAR} to {_LAST_YEAR}")
    return at
