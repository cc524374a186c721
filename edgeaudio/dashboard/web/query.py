"""Query strings, read and bounded. Pure.

Owns: which keys choose what, and their bounds. Does not know: HTTP, what is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

from edgeaudio.dashboard.history import MAX_PAGE, Cursor, Filter, Verdict
from edgeaudio.dashboard.viewers import Watched
from edgeaudio.packed_counts import QUARTER_MS, QUARTERS
from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import MAX_COUNT
from edgeaudio.wire.payloads import MAX_NAME

_VERDICTS: Final[Mapping[str, Verdict | Literal["unreviewed"]]] = {
    "unreviewed": "unreviewed",
    "right": "right",
    "wrong": "wrong",
    "other": "other",
}
_MAX_STEPS: Final = 800  # of a chart
_MAX_QUARTERS: Final = 401 * QUARTERS  # 400 days from midnight to midnight, of which clocks change


class QueryError(ValueError):
    """A query string that cannot be used; the message says which key."""


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
        verdict=_verdict(query.get("verdict")),
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


def source_of(query: Mapping[str, str]) -> tuple[str, str]:
    """Read which source is meant. Raises QueryError."""
    found = watched_of(query)
    if found is None:
        raise QueryError("device, source: are missing")
    return found.device, found.source


def watched_of(query: Mapping[str, str]) -> Watched | None:
    """Read which source is watched live; None: none. Raises QueryError."""
    device, source = query.get("device"), query.get("source")
    if not device and not source:
        return None
    if not device or not source or not is_slug(device) or not is_slug(source):
        raise QueryError("device, source: are not the names of a source")
    return Watched(device, source)


def steps_of(query: Mapping[str, str]) -> list[int]:
    """Read the spans of counts, in quarters of an hour: lengths with commas, `96*30` for thirty. Raises QueryError.

    Whoever asks makes them, and knows the zone: hours and days differ from zone to zone.
    """
    if not query.get("from") or _whole(query["from"], "from") % QUARTER_MS:
        raise QueryError("from: is no full quarter of an hour")
    steps: list[int] = []
    for run in query.get("steps", "").split(",")[: _MAX_STEPS + 1]:
        length, _, times = run.partition("*")
        count = _whole(times or "1", "steps")
        if not 1 <= count <= _MAX_STEPS:
            raise QueryError(f"steps: a span is repeated at most {_MAX_STEPS} times")
        steps += [_whole(length, "steps")] * count
        if len(steps) > _MAX_STEPS:
            raise QueryError(f"steps: are more than {_MAX_STEPS}")
    if min(steps) < 1 or sum(steps) > _MAX_QUARTERS:
        raise QueryError("steps: are not between a quarter of an hour each and 401 days together")
    return steps


def _name(query: Mapping[str, str], key: str) -> str | None:
    text = query.get(key)
    if text and len(text) > MAX_NAME:
        raise QueryError(f"{key}: is longer than {MAX_NAME} characters")
    return text or None


def _verdict(text: str | None) -> Verdict | Literal["unreviewed"] | None:
    if not text:
        return None
    if text not in _VERDICTS:
        raise QueryError(f"verdict: is none of {', '.join(_VERDICTS)}")
    return _VERDICTS[text]


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
