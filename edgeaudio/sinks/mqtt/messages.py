"""The wire contract: edgeaudio's values as MQTT messages.

Owns: every payload but Home Assistant's discovery (discovery.py). Pure: values in, `Message` out.
Does not know: topics' spelling (topics.py), and when or whether a message is sent.

All JSON is compact, in UTF-8, and has finite numbers only: what is not finite becomes null, as does a level of
digital silence. Live columns and sound are bytes. Times are RFC 3339, UTC, with milliseconds, and are those of the
sound, not of the sending. Detections go through the outbox with QoS 1; other state is retained or sent again, so its
newest value counts.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from urllib.parse import urlencode

from edgeaudio import schema_versions
from edgeaudio.clock import timestamp
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import (
    ChannelLevel,
    Event,
    Level,
    LiveColumns,
    LiveScores,
    LiveSound,
    Message,
    SourceStatus,
    Transcript,
)

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

ONLINE = b"online"
OFFLINE = b"offline"
ON = b"ON"
OFF = b"OFF"

# version, scale, flags, reserved; stream, sequence; time; hop, lowest and highest Hz, floor, step; columns, bands
LIVE_HEADER = struct.Struct("<4B2Iq5f2H")
_LINEAR = 0
# version, codec, flags, channels; stream, sequence; time; position; samples, pre-skip, packets
SOUND_HEADER = struct.Struct("<4B2IqQI2H")
_OPUS = 0
_JUDGED = 2
_FOLLOWS_GAP = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SCHEMA: Mapping[str, Json] = {schema_versions.KEY: schema_versions.PAYLOAD_VERSION}  # in each object


def encode(value: Json) -> bytes:
    """Return compact UTF-8 JSON; numbers that are not finite become null."""
    return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def availability(topics: Topics, *, online: bool) -> Message:
    """Return the message that the agent is online, or offline, which is also its will."""
    return Message(topics.availability, ONLINE if online else OFFLINE, qos=1, retain=True)


def shard_count(topics: Topics, count: int) -> Message:
    """Return of how many shards this is one: from it the others know which sources it had when it goes."""
    return Message(topics.shard_count, b"%d" % count, qos=1, retain=True)


def detection(topics: Topics, event: Event, *, seq_epoch: str, seq: int, dashboard_url: str | None = None) -> Message:
    """Return an onset or offset, with the number that the outbox gave it; goes through the outbox.

    `dashboard_url`: of the dashboard that has the event, without a `/` at its end; None: there is none.
    """
    payload: dict[str, Json] = {
        **SCHEMA,
        "id": event.id,
        "kind": event.kind,
        "label": event.label,
        "score": _rounded(event.score, 4),
        "at": timestamp(event.at),
        "at_error_s": _rounded(event.at_error_s, 3),
        "duration_s": _rounded(event.duration_s, 3),
        "model": event.model,
        **({"members": {name: _rounded(score, 4) for name, score in event.members}} if event.members else {}),
        "source": event.source,
        "device": topics.device,
        "seq": seq,
        "seq_epoch": seq_epoch,
        **({} if topics.shard is None else {"shard": topics.shard.index}),
        **({"test": True} if event.test else {}),
        **({"link": _link(dashboard_url, topics, event)} if dashboard_url is not None else {}),
    }
    return Message(topics.detection(event.source), encode(payload), qos=1)


def _link(dashboard_url: str, topics: Topics, event: Event) -> str:
    """Return the address of an event's view on the dashboard: docs/dashboard.md has the addresses of its views."""
    where = {"view": "event", "device": topics.device, "source": event.source, "id": event.id}
    return f"{dashboard_url}/?{urlencode(where)}"


def check(topics: Topics, source: str) -> Message:
    """Return what `edgeaudio check` publishes to find out whether detections of a source are denied."""
    payload: dict[str, Json] = {**SCHEMA, "kind": "check", "source": source, "device": topics.device}
    return Message(topics.detection(source), encode(payload), qos=1)


def transcript(topics: Topics, value: Transcript) -> Message:
    """Return what was said in an utterance; goes through the outbox."""
    payload: dict[str, Json] = {
        **SCHEMA,
        "id": value.id,
        "text": value.text,
        "at": timestamp(value.at),
        "duration_s": _rounded(value.duration_s, 3),
        "language": value.language,
        "confidence": _rounded(value.confidence, 3),
        "recogniser": value.recogniser,
        "source": value.source,
        "device": topics.device,
    }
    return Message(topics.transcript(value.source), encode(payload), qos=1)


def label_state(topics: Topics, source: str, label: str, *, on: bool) -> Message:
    """Return whether a sound is going on; not retained, so that no `ON` is left after a restart."""
    return Message(topics.label(source, label), ON if on else OFF, qos=1)


def level(topics: Topics, value: Level) -> Message:
    """Return the loudness of one interval; digital silence is null, never 0, which would be full scale."""
    payload: dict[str, Json] = {
        **SCHEMA,
        "at": timestamp(value.at),
        "duration_s": _rounded(value.duration_s, 3),
        **_loudness(value),
        "channels": [_loudness(channel) for channel in value.channels],
        "heard": value.heard,
    }
    return Message(topics.level(value.source), encode(payload))


def _loudness(value: Level | ChannelLevel) -> dict[str, Json]:
    return {
        "rms_dbfs": _rounded(value.rms_dbfs, 1),
        "peak_dbfs": _rounded(value.peak_dbfs, 1),
        "clipped_ratio": _rounded(value.clipped_ratio, 4),
        "hum_ratio": _rounded(value.hum_ratio, 3),
    }


def live_columns(topics: Topics, value: LiveColumns) -> Message:
    """Return columns of a source's spectrogram, as bytes: docs/mqtt.md has the layout."""
    header = LIVE_HEADER.pack(
        schema_versions.LIVE_VERSION,
        _LINEAR,
        _FOLLOWS_GAP if value.follows_gap else 0,
        0,
        value.stream,
        value.sequence,
        (value.at - _EPOCH) // timedelta(microseconds=1),
        1e6 * value.hop_s,
        value.low_hz,
        value.high_hz,
        value.floor_db,
        value.step_db,
        *value.levels.shape,
    )
    return Message(topics.live(value.source), header + value.levels.tobytes())


def live_sound(topics: Topics, value: LiveSound) -> Message:
    """Return packets of a source's sound, as bytes: docs/mqtt.md has the layout."""
    header = SOUND_HEADER.pack(
        schema_versions.SOUND_VERSION,
        _OPUS,
        (_FOLLOWS_GAP if value.follows_gap else 0) | (_JUDGED if value.is_judged else 0),
        1,
        value.stream,
        value.sequence,
        (value.at - _EPOCH) // timedelta(microseconds=1),
        value.position,
        value.count,
        value.pre_skip,
        len(value.packets),
    )
    lengths = struct.pack(f"<{len(value.packets)}H", *map(len, value.packets))
    return Message(topics.live_audio(value.source), b"".join((header, lengths, *value.packets)))


def live_scores(topics: Topics, value: LiveScores) -> Message:
    """Return what a model may have heard in one clip."""
    payload: dict[str, Json] = {
        **SCHEMA,
        "at": timestamp(value.at),
        "duration_s": _rounded(value.duration_s, 3),
        "model": value.model,
        "scores": {label: _rounded(score, 4) for label, score in value.scores.items()},
    }
    return Message(topics.scores(value.source), encode(payload))


def status(topics: Topics, value: SourceStatus, *, transcribes: bool = False) -> Message:
    """Return the state of a source, its reason, since when, when the next try is due, and whether it is transcribed."""
    payload: dict[str, Json] = {
        **SCHEMA,
        "state": value.state.value,
        "reason": value.reason.value if value.reason else None,
        "detail": value.detail,
        "since": timestamp(value.since),
        "codec": value.codec,
        "sample_rate": value.sample_rate,
        "channels": value.channels,
        "pauses": value.pauses,
        "next_try": timestamp(value.next_try) if value.next_try else None,
        "media": value.media,
        "transport": value.transport,
        "transcribes": transcribes,
    }
    return Message(topics.status(value.source), encode(payload), qos=1, retain=True)


def health(topics: Topics, values: Mapping[str, Json]) -> Message:
    """Return the agent's health; `values`: those of health_payload.py."""
    return Message(topics.health, encode({**SCHEMA, **values}), qos=1, retain=True)


def threshold(topics: Topics, source: str, label: str, value: float) -> Message:
    """Return the threshold in force, the state behind `.../set`."""
    return Message(topics.threshold(source, label), encode(_rounded(value, 4)), qos=1, retain=True)


def snooze(topics: Topics, source: str, label: str, until: datetime | None) -> Message:
    """Return until when a label is snoozed, the state behind `.../set`; nothing is retained of one that is not."""
    topic = topics.snooze(source, label)
    return cleared(topic) if until is None else Message(topic, timestamp(until).encode(), qos=1, retain=True)


def cooldown(topics: Topics, source: str, label: str, cooldown_s: float) -> Message:
    """Return a label's cooldown in force, the state behind `.../set`; nothing is retained of one of 0."""
    topic = topics.cooldown(source, label)
    return Message(topic, encode(_rounded(cooldown_s, 3)), qos=1, retain=True) if cooldown_s > 0 else cleared(topic)


def enabled(topics: Topics, source: str, *, on: bool) -> Message:
    """Return whether a source is switched on, the state behind `.../set`."""
    return Message(topics.enabled(source), ON if on else OFF, qos=1, retain=True)


def command_result(topics: Topics, topic: str, at: datetime, error: str | None) -> Message:
    """Return the result of a command: `{"topic", "at", "ok", "error"}`; `error` is null where it succeeded."""
    payload: dict[str, Json] = {**SCHEMA, "topic": topic, "at": timestamp(at), "ok": error is None, "error": error}
    return Message(topics.command_result, encode(payload), qos=1)


def cleared(topic: str) -> Message:
    """Return the message that clears a retained one: an empty retained payload."""
    return Message(topic, b"", qos=1, retain=True)


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) + 0.0  # adding zero turns -0.0 into 0.0


def _finite(value: Json) -> Json:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
