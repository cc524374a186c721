"""Detections for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edgeaudio.dashboard.database import Database
from edgeaudio.dashboard.history import COLUMNS, History, upgrade
from edgeaudio.dashboard.service import SCHEMA
from edgeaudio.wire.payloads import Detection

AT = datetime(2026, 11, 20, 12, 1, tzinfo=UTC)
AT_MS = round(AT.timestamp() * 1000)
NOW_S = AT.timestamp() + 1
ONSET = Detection("dock", "porch", "e1", "onset", "dog", 0.8, AT, 0.1, 0.5, "home", 1, "a", test=False)


def onset(event_id: str = "e1", *, after_s: float = 0.0, **changes: Any) -> Detection:
    return replace(ONSET, id=event_id, at=AT + timedelta(seconds=after_s), **changes)


def offset(event_id: str = "e1", *, after_s: float = 0.0, lasted_s: float = 3.0, **changes: Any) -> Detection:
    """The end of the event that began `after_s` after AT."""
    at = AT + timedelta(seconds=after_s + lasted_s)
    values = {"score": 0.9, "seq": 2} | changes
    return replace(ONSET, id=event_id, kind="offset", at=at, at_error_s=0.2, duration_s=lasted_s, **values)


# of a detection on the wire, as docs/mqtt.md has it
PAYLOAD: dict[str, Any] = {
    "schema_version": 1,
    "id": "e1",
    "kind": "onset",
    "label": "dog",
    "score": 0.9,
    "at": "2026-11-20T20:51:15.823Z",
    "at_error_s": None,
    "duration_s": 0.5,
    "model": "home",
    "seq": 1,
    "seq_epoch": "5f0c2a91",
}


@contextmanager
def history_of(path: Path, **options: Any) -> Iterator[History]:
    with closing(Database(path, SCHEMA, upgrade, COLUMNS)) as database:
        yield History(database, **options)
