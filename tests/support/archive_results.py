"""Results of an archive, made by hand: places with parts, of recordings and events that a test names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from edgeaudio.archive.hearing import RESULTS
from edgeaudio.archive.rows import EVENT, RECORDING, SCHEMA

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, in seconds of its recording."""

    label: str
    offset_s: float
    duration_s: float = 1.0
    score: float = 0.9


def put_place(out: Path, name: str = "home-0123456789ab", **description: object) -> Path:
    """Make a place without results."""
    place = out / name
    place.mkdir(parents=True)
    described = {
        "results": RESULTS,
        "model": {"name": "home", "clip": {"sample_rate": RATE}},
        "settings": {},
        **description,
    }
    (place / "place.json").write_text(json.dumps(described))
    return place


def key_of(recording: str) -> str:
    return hashlib.sha256(recording.encode()).hexdigest()[:32]


def put_result(
    place: Path,
    recording: str,
    begins_at: datetime = BEGIN,
    heard: Sequence[Heard] = (),
    *,
    duration_s: float = 3600.0,
    key: str | None = None,
) -> Path:
    """Write the result of one recording as a part."""
    key = key or key_of(recording)
    common = {"key": key, "recording": recording, "model": "home"}

    def row(kind: str, offset_s: float, length_s: float, label: str | None, score: float | None) -> dict[str, object]:
        at = begins_at + timedelta(seconds=offset_s)
        times = {"begins_at": at, "ends_at": at + timedelta(seconds=length_s)}
        seconds = {"offset_s": offset_s, "duration_s": length_s}
        return {**common, "kind": kind, **times, **seconds, "label": label, "score": score}

    rows = [row(EVENT, each.offset_s, each.duration_s, each.label, each.score) for each in heard]
    rows.append(row(RECORDING, 0.0, duration_s, None, None))
    part = place / "parts" / f"{begins_at.astimezone(UTC):%Y-%m}" / f"{key}.parquet"
    part.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), part)
    return part


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
