"""Verdicts and missed sounds as JSON: read from bodies within bounds, and written. Pure.

Owns: their names in `/api`. Does not know: HTTP, the database. Times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgeaudio.dashboard.history import Verdict
from edgeaudio.dashboard.missed import MissedPage, MissedSound
from edgeaudio.dashboard.reviews import Changed, Judgement, LoggedChange
from edgeaudio.dashboard.web.body import BodyError
from edgeaudio.dashboard.web.values import place
from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import MAX_COUNT, clean, is_identifier
from edgeaudio.wire.payloads import MAX_NAME

MAX_AT_ONCE: Final = 500  # events, or missed sounds
MAX_MISSED_S: Final = 600
_LAST_MS: Final = 7_258_118_400_000  # the year 2200
_VERDICTS: Final[Mapping[object, Verdict]] = {"right": "right", "wrong": "wrong", "other": "other"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Missed:
    """A sound that is to be marked."""

    device: str
    source: str
    label: str
    span_ms: tuple[int, int]


def judgements_of(table: Mapping[str, Any]) -> list[Judgement]:
    """Read the verdicts on events, one for each: the last. Raises BodyError."""
    found = {}
    for entry in _list(table, "reviews"):
        if not isinstance(entry, dict):
            raise BodyError(400, "reviews: has an entry that is no object")
        judgement = _judgement(entry)
        found[judgement.device, judgement.source, judgement.id] = judgement
    return list(found.values())


def missed_of(table: Mapping[str, Any]) -> Missed:
    """Read a sound that was not detected. Raises BodyError."""
    device, source = _source(table)
    begin_ms, end_ms = _whole(table, "begin"), _whole(table, "end")
    if not 0 < end_ms - begin_ms <= MAX_MISSED_S * 1000 or end_ms > _LAST_MS:
        raise BodyError(400, f"end: is not after begin, or more than {MAX_MISSED_S} s after it")
    return Missed(device, source, _label(table), (begin_ms, end_ms))


def numbers_of(table: Mapping[str, Any]) -> tuple[int, ...]:
    """Read the numbers of missed sounds. Raises BodyError."""
    return tuple(_whole({"numbers": number}, "numbers") for number in _list(table, "numbers"))


def changed_json(changed: Changed) -> Json:
    """Return what became of verdicts. `before`, sent as `reviews`, undoes them."""
    return {
        "before": [
            {"device": each.device, "source": each.source, "id": each.id, "verdict": each.verdict}
            | ({} if each.given_label is None else {"label": each.given_label})
            for each in changed.before
        ],
        "unchanged": changed.unchanged,
        "left_out": changed.left_out,
    }


def log_json(log: Sequence[LoggedChange]) -> list[Json]:
    """Return who changed the verdict on an event, the newest first."""
    return [
        {"at": each.at_ms, "reviewer": each.reviewer, "verdict": each.verdict, "label": each.given_label}
        for each in log
    ]


def missed_json(sound: MissedSound) -> Json:
    """Return a missed sound."""
    return {
        "number": sound.number,
        "device": sound.device,
        "source": sound.source,
        "label": sound.label,
        "begin": sound.begin_ms,
        "end": sound.end_ms,
        "reviewer": sound.reviewer,
        "marked": sound.marked_ms,
        "covered_by": sound.covered_by,
    }


def missed_page_json(page: MissedPage) -> Json:
    """Return a page; `next`: the value of `after` for the next one."""
    return {
        "sounds": [missed_json(sound) for sound in page.sounds],
        "next": None if page.next is None else place(page.next),
    }


def _judgement(entry: Mapping[str, Any]) -> Judgement:
    device, source = _source(entry)
    event_id = entry.get("id")
    if not isinstance(event_id, str) or not is_identifier(event_id):
        raise BodyError(400, "id: is not that of an event")
    verdict = entry.get("verdict")
    if verdict is None:
        return Judgement(device, source, event_id, None)
    if not isinstance(verdict, str) or verdict not in _VERDICTS:
        raise BodyError(400, 'verdict: is not "right", "wrong", "other" or null')
    return Judgement(device, source, event_id, _VERDICTS[verdict], _label(entry) if verdict == "other" else None)


def _list(table: Mapping[str, Any], key: str) -> list[Any]:
    entries = table.get(key)
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_AT_ONCE:
        raise BodyError(400, f"{key}: is no list of 1 to {MAX_AT_ONCE}")
    return entries


def _source(table: Mapping[str, Any]) -> tuple[str, str]:
    device, source = table.get("device"), table.get("source")
    if not isinstance(device, str) or not isinstance(source, str) or not is_slug(device) or not is_slug(source):
        raise BodyError(400, "device, source: are not the names of a source")
    return device, source


def _label(table: Mapping[str, Any]) -> str:
    """Read a label, which is bounded as those of detections are."""
    label = table.get("label")
    cleaned = clean(label, MAX_NAME) if isinstance(label, str) and len(label) <= MAX_NAME else ""
    if not cleaned:
        raise BodyError(400, f"label: is no text of 1 to {MAX_NAME} characters")
    return cleaned


def _whole(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise BodyError(400, f"{key}: is no whole number")
    return value
