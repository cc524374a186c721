"""The values of the dashboard as JSON objects, and the query strings that choose them.

Owns: the names in `/api`, and the bounds of a query. Pure. Does not know: HTTP (app.py).
Times are Unix milliseconds, and durations seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgeaudio.dashboard.advice import advice_for
from edgeaudio.dashboard.fleet import Device, FleetSnapshot, Source
from edgeaudio.dashboard.history import MAX_PAGE, Cursor, Filter, HistoryEvent, Page
from edgeaudio.dashboard.recorder import Recent, RecorderNumbers
from edgeaudio.dashboard.sequence import Sequence
from edgeaudio.dashboard.viewers import Watched
from edgeaudio.dashboard.wire import MAX_COUNT, MAX_NAME, Scores
from edgeaudio.slugs import is_slug

_MAX_SPAN_MS = 400 * 24 * 3600 * 1000  # of counts
Json = dict[str, Any]


class QueryError(ValueError):
    """A query string that cannot be used; the message says which key."""


def fleet_json(fleet: FleetSnapshot, numbers: RecorderNumbers) -> Json:
    """Return all devices with their sources."""
    return {
        "revision": fleet.revision,
        "left_out": fleet.left_out,
        "waiting": numbers.waiting,
        "devices": [_device(device, numbers.sequences.get(device.name)) for device in fleet.devices],
    }


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
    }


def scores_json(scores: Scores) -> Json:
    """Return what may be in one clip of a source that is watched live."""
    return {"at": _ms(scores.at), "duration_s": scores.duration_s, "scores": dict(scores.scores)}


def event_json(event: HistoryEvent) -> Json:
    """Return an event of the history."""
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
    }


def page_json(page: Page) -> Json:
    """Return a page; `next`: the value of `after` for the next one."""
    return {
        "events": [event_json(event) for event in page.events],
        "next": None if page.next is None else f"{page.next.begin_ms}.{page.next.number}",
    }


def filter_of(query: Mapping[str, str]) -> Filter:
    """Read a filter. Raises QueryError."""
    score = query.get("min_score")
    return Filter(
        device=_name(query, "device"),
        source=_name(query, "source"),
        label=_name(query, "label"),
        min_score=None if not score else _score(score),
        from_ms=_time(query, "from"),
        until_ms=_time(query, "until"),
        tests=query.get("tests") != "no",
    )


def cursor_of(query: Mapping[str, str]) -> Cursor | None:
    """Read the place of a page. Raises QueryError."""
    text = query.get("after")
    if not text:
        return None
    begin, dot, number = text.partition(".")
    if not dot:
        raise QueryError("after: is no place between two pages")
    return Cursor(_whole(begin, "after"), _whole(number, "after"))


def limit_of(query: Mapping[str, str]) -> int:
    """Read the length of a page. Raises QueryError."""
    text = query.get("limit")
    limit = 100 if not text else _whole(text, "limit")
    if not 1 <= limit <= MAX_PAGE:
        raise QueryError(f"limit: is not within 1 and {MAX_PAGE}")
    return limit


def number_of(query: Mapping[str, str]) -> int:
    """Read the number after which detections are wanted. Raises QueryError."""
    return _whole(query.get("after") or "0", "after")


def watched_of(query: Mapping[str, str]) -> Watched | None:
    """Read which source is watched live; None: none. Raises QueryError."""
    device, source = query.get("device"), query.get("source")
    if not device and not source:
        return None
    if not device or not source or not is_slug(device) or not is_slug(source):
        raise QueryError("device, source: are not the names of a source")
    return device, source


def span_of(query: Mapping[str, str]) -> Filter:
    """Read the filter of counts, which needs both times. Raises QueryError."""
    wanted = filter_of(query)
    if wanted.from_ms is None or wanted.until_ms is None:
        raise QueryError("from, until: are missing")
    if not 0 < wanted.until_ms - wanted.from_ms <= _MAX_SPAN_MS:
        raise QueryError("until: is not after from, or more than 400 days after it")
    return wanted


def _device(device: Device, sequence: Sequence | None) -> Json:
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
        "missing": sequence.missing if sequence else 0,
        "gaps": [
            {"first": gap.first, "last": gap.last, "noticed": round(gap.noticed_s * 1000)}
            for gap in (sequence.gaps if sequence else ())
        ],
        "sources": [_source(source) for source in device.sources],
    }


def _source(source: Source) -> Json:
    newest, numbers = source.newest, source.numbers
    return {
        "name": source.name,
        "state": newest.state if newest else "unknown",
        "reason": newest.reason if newest else None,
        "detail": newest.detail if newest else "",
        "since": _ms(newest.since) if newest else None,
        "advice": advice_for(newest.reason) if newest else "",
        "heard_s": numbers.heard_s if numbers else None,
        "lost_s": numbers.lost_s if numbers else None,
        "lag_s": numbers.lag_s if numbers else None,
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _name(query: Mapping[str, str], key: str) -> str | None:
    text = query.get(key)
    if text and len(text) > MAX_NAME:
        raise QueryError(f"{key}: is longer than {MAX_NAME} characters")
    return text or None


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise QueryError("min_score: is not within 0 and 1")
    return score


def _time(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key)
    return _whole(text, key) if text else None


def _whole(text: str, key: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 16:
        raise QueryError(f"{key}: is no whole number")
    number = int(text)
    if abs(number) >= MAX_COUNT:
        raise QueryError(f"{key}: is too large")
    return number
