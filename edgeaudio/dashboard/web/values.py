"""The values of the dashboard as JSON objects.

Owns: the names in `/api`. Pure. Does not know: HTTP. Times are Unix milliseconds, and durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from edgeaudio.dashboard.advice import advice_for
from edgeaudio.dashboard.controls import SourceControls
from edgeaudio.dashboard.fleet import Device, FleetSnapshot, Source
from edgeaudio.dashboard.history import Cursor, HistoryEvent, Page
from edgeaudio.dashboard.media.archive import Arrival
from edgeaudio.dashboard.media.store import EventKey, StoredMedium
from edgeaudio.dashboard.media.wire import MediaKind
from edgeaudio.dashboard.recorder import Recent, RecorderNumbers
from edgeaudio.dashboard.sequence import Sequence as DeviceSequence
from edgeaudio.wire.payloads import Scores

Json = dict[str, Any]
_MAX_LABELS: Final = 7  # of a chart: more colours cannot be told apart
Media = Mapping[EventKey, Mapping[MediaKind, StoredMedium]]


def fleet_json(fleet: FleetSnapshot, numbers: RecorderNumbers) -> Json:
    """Return all devices with their sources."""
    return {
        "revision": fleet.revision,
        "left_out": fleet.left_out,
        "waiting": numbers.waiting,
        "devices": [_device(device, _sequences(device, numbers)) for device in fleet.devices],
    }


def without_details(fleet: Json) -> Json:
    """Return devices as the public sees them: details name the addresses of cameras, and files of the devices."""
    hidden = [[source | {"detail": ""} for source in device["sources"]] for device in fleet["devices"]]
    devices = [
        device
        | {
            "sources": sources,
            "outbox_trouble": "",
            "shards": [shard | {"outbox_trouble": ""} for shard in device["shards"]],
        }
        for device, sources in zip(fleet["devices"], hidden, strict=True)
    ]
    return fleet | {"devices": devices}


def recent_json(recent: Recent) -> Json:
    """Return a detection as it came."""
    detection = recent.detection
    return {
        "number": recent.number,
        "device": detection.device,
        "source": detection.source,
        "id": detection.id,
        "kind": detection.kind,
        "label": detection.label,
        "score": detection.score,
        "at": _ms(detection.at),
        "duration_s": detection.duration_s,
        "test": detection.test,
        "members": dict(detection.members),
    }


def scores_json(scores: Scores) -> Json:
    """Return what may be in one clip of a source that is watched live."""
    return {"at": _ms(scores.at), "duration_s": scores.duration_s, "scores": dict(scores.scores)}


def media_json(arrival: Arrival) -> Json:
    """Return a clip or a picture that came."""
    device, source, event_id = arrival.event
    return {
        "device": device,
        "source": source,
        "id": event_id,
        "kind": arrival.type.kind,
        "type": arrival.type.content_type,
    }


def event_json(event: HistoryEvent, media: Media, *, names: bool) -> Json:
    """Return an event of the history, with what is kept of its sound, with or without names of people.

    `place`: the value of `after` for what is older.
    """
    return {
        "device": event.device,
        "source": event.source,
        "id": event.id,
        "label": event.label,
        "model": event.model,
        "score": event.score,
        "begin": event.begin_ms,
        "begin_error_s": event.begin_error_s,
        "end": event.end_ms,
        "end_error_s": event.end_error_s,
        "duration_s": event.duration_s,
        "test": event.test,
        "onset_lost": event.onset_lost,
        "media": {
            kind: {"type": medium.type.content_type, "bytes": medium.bytes, "plot": medium.plot}
            for kind, medium in media.get((event.device, event.source, event.id), {}).items()
            if medium.type is not None
        },
        "verdict": event.verdict,
        "given_label": event.given_label,
        "reviewer": event.reviewer if names else None,
        "reviewed": event.reviewed_ms,
        "model_sha256": event.model_sha256,
        "place": place(event.cursor),
    }


def page_json(page: Page, media: Media, *, names: bool) -> Json:
    """Return a page; `next`: the value of `after` for the next one."""
    return {
        "events": [event_json(event, media, names=names) for event in page.events],
        "next": None if page.next is None else place(page.next),
    }


def place(cursor: Cursor) -> str:
    """Return a place between two pages, as `after` takes it."""
    return f"{cursor.begin_ms}.{cursor.number}"


def counts_json(counts: Mapping[str, Sequence[int]], spans: int) -> Json:
    """Return the counts of the most frequent labels, and those of all others together, by span."""
    named = dict(islice(counts.items(), _MAX_LABELS))
    others = [sum(column) for column in zip(*islice(counts.values(), _MAX_LABELS, None), strict=True)]
    return {"labels": list(named.items()), "others": others or [0] * spans}


def controls_json(controls: SourceControls) -> Json:
    """Return what commands may change at a source; labels in the order of their names."""
    return {
        "revision": controls.revision,
        "subscribed": controls.subscribed,
        "trouble": controls.trouble,
        "enabled": controls.enabled,
        "left_out": controls.left_out,
        "labels": [
            {
                "label": label,
                "threshold": own.threshold,
                "snoozed_until": None if own.snoozed_until is None else _ms(own.snoozed_until),
                "cooldown_s": own.cooldown_s or 0,
            }
            for label, own in sorted(controls.labels.items())
        ],
    }


def _sequences(device: Device, numbers: RecorderNumbers) -> Mapping[int | None, DeviceSequence]:
    """Return what counts a device's detections, by shard."""
    counters = {None: device.name} | {index: f"{device.name}/{index}" for index, _ in device.shards}
    return {index: numbers.sequences[name] for index, name in counters.items() if name in numbers.sequences}


def _shard(index: int, shard: Device) -> Json:
    health = shard.health
    return {
        "index": index,
        "online": shard.online,
        "offline_since": None if not shard.offline_since_s else round(shard.offline_since_s * 1000),
        "seen": round(shard.seen_s * 1000) or None,
        "version": health.version if health else "",
        "outbox": health.outbox_messages if health else None,
        "outbox_trouble": health.outbox_trouble if health else "",
    }


def _device(device: Device, sequences: Mapping[int | None, DeviceSequence]) -> Json:
    health = device.health
    return {
        "name": device.name,
        "online": device.online,
        "offline_since": None if not device.offline_since_s else round(device.offline_since_s * 1000),
        "seen": round(device.seen_s * 1000) or None,
        "version": health.version if health else "",
        "temperature_c": health.temperature_c if health else None,
        "outbox": health.outbox_messages if health else None,
        "outbox_oldest_s": health.outbox_oldest_s if health else None,
        "outbox_trouble": health.outbox_trouble if health else "",
        "missing": sum(sequence.missing for sequence in sequences.values()),
        "gaps": [
            {"first": gap.first, "last": gap.last, "noticed": round(gap.noticed_s * 1000), "shard": shard}
            for shard, sequence in sequences.items()
            for gap in sequence.gaps
        ],
        "shards": [_shard(index, shard) for index, shard in device.shards],
        "sources": [_source(source, is_deaf=device.is_deaf(source)) for source in device.sources],
    }


def _source(source: Source, *, is_deaf: bool) -> Json:
    newest, numbers = source.newest, source.numbers
    return {
        "name": source.name,
        "shard": source.shard,
        "offline": is_deaf,
        "state": newest.state if newest else "unknown",
        "reason": newest.reason if newest else None,
        "detail": newest.detail if newest else "",
        "since": _ms(newest.since) if newest else None,
        "advice": advice_for(newest.reason) if newest else "",
        "heard_s": numbers.heard_s if numbers else None,
        "lost_s": numbers.lost_s if numbers else None,
        "lag_s": numbers.lag_s if numbers else None,
        "snoozed": numbers.snoozed if numbers else 0,
        "withheld": numbers.withheld if numbers else 0,
        "raised": [
            {"label": each.label, "from": each.chosen, "to": each.in_force, "since": _ms(each.since)}
            for each in (numbers.raised if numbers else ())
        ],
        "raised_count": numbers.raised_count if numbers else 0,
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
