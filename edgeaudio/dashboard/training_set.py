"""What people said about sounds, as a training set: the layout that tools/train_model.py reads.

Owns: names and places of its files, and the record of each sound. Does not know: where it is written to (a folder, or
an archive that a browser downloads), where clips are kept.

`labels/LABEL/` has the sounds that are right, or right under the label that a reviewer gave; `negatives/LABEL/` those
that are wrong: train_model takes the first as its recordings, and the second as sound without a label (`--negatives`).
Its record lies beside each sound. `reviews.jsonl` has all records, those of sounds that are not here too, and what was
missed: a device keeps no sound of what it did not detect.

train_model splits by names: recordings whose names agree up to the last hyphen are never on both sides of a split. Here
those of one source and day agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias

from edgeaudio.dashboard.event_store import EventHistory, MissedStore
from edgeaudio.dashboard.history import MAX_PAGE, Filter, HistoryEvent, Verdict, counted_label
from edgeaudio.dashboard.media.archive import MediaArchive
from edgeaudio.dashboard.media.store import EventKey
from edgeaudio.dashboard.missed import MissedSound
from edgeaudio.slugs import LabelFolders

LABELS: Final = "labels"
NEGATIVES: Final = "negatives"
REVIEWS: Final = "reviews.jsonl"
VERSION: Final = 1  # of the records
_VERDICTS: Final[tuple[Verdict, ...]] = ("right", "other", "wrong")

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sound:
    """The clip of an event, open; whoever has it closes the descriptor."""

    descriptor: int
    bytes: int
    suffix: str  # of its name, without the dot


OpenSound: TypeAlias = Callable[[EventKey], Sound | None]
"""Opens the clip of an event; None: there is none here. Raises DatabaseError."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a set has of one record."""

    files: tuple[tuple[str, bytes], ...]  # its sound and what lies beside it, with their names; empty: it has none
    line: str  # of all records


@dataclass(frozen=True, slots=True)
class Entry:
    """One record."""

    record: Record
    event: EventKey | None  # whose sound it is; None: of a missed sound
    place: PurePosixPath | None  # of its sound, without a suffix


def entries(history: EventHistory, missed: MissedStore, wanted: Filter) -> Iterator[Entry]:
    """Yield the reviewed events of a filter, and then the missed sounds. Raises DatabaseError.

    Each event comes once, also if somebody changes its verdict meanwhile: it would be its own negative.
    """
    folders, done = LabelFolders(), set[int]()
    for verdict in _VERDICTS if wanted.verdict is None else (wanted.verdict,):
        chosen, after = replace(wanted, verdict=verdict, tests=False), None
        while True:
            page = history.page(chosen, after, MAX_PAGE)
            for event in page.events:
                if event.verdict is not None and event.number not in done:
                    done.add(event.number)
                    yield _event_entry(event, folders)
            if (after := page.next) is None:
                break
    if wanted.verdict is None and wanted.min_score is None:
        after = None
        while True:
            sounds = missed.page(wanted, after, MAX_PAGE)
            yield from (Entry(_missed_record(sound), None, None) for sound in sounds.sounds)
            if (after := sounds.next) is None:
                break


def sounds_of(media: MediaArchive) -> OpenSound:
    """Return what opens the clips of an archive."""

    def open_sound(event: EventKey) -> Sound | None:
        clip = media.open_medium(event, "clip")
        return None if clip is None else Sound(clip.descriptor, clip.bytes, clip.type.suffix)

    return open_sound


def items(found: Iterable[Entry], open_sound: OpenSound) -> Iterator[Item]:
    """Yield what is written of each entry. Raises DatabaseError, and OSError where a sound cannot be read."""
    for entry in found:
        sound = None if entry.event is None else open_sound(entry.event)
        content = None if sound is None else _content(sound)
        if entry.place is None or sound is None or content is None:
            yield Item((), _line(entry.record, None))
            continue
        file = f"{entry.place}.{sound.suffix}"
        line = _line(entry.record, file)
        yield Item(((file, content), (f"{entry.place}.json", line.encode())), line)


def _content(sound: Sound) -> bytes | None:
    """Return a sound whole; None: its file is shorter than it was."""
    with os.fdopen(sound.descriptor, "rb") as source:
        content = source.read(sound.bytes)
    return content if len(content) == sound.bytes else None


def _line(record: Record, file: str | None) -> str:
    return json.dumps(record | {"file": file}, ensure_ascii=False) + "\n"


def advice(folder: str) -> str:
    """Return the command that trains on a set, as it is typed in a clone of the repository."""
    return f"python -m tools.train_model {folder}/{LABELS} --negatives {folder}/{NEGATIVES} --out runs/NAME"


def _event_entry(event: HistoryEvent, folders: LabelFolders) -> Entry:
    label = counted_label(event.label, event.verdict, event.given_label)
    begin = _time(event.begin_ms)
    record = {
        "version": VERSION,
        "kind": "event",
        "label": label,
        "verdict": event.verdict,
        "reviewer": event.reviewer,
        "reviewed_at": None if event.reviewed_ms is None else _text(event.reviewed_ms),
        "id": event.id,
        "device": event.device,
        "source": event.source,
        "detected_label": event.label,
        "score": event.score,
        "model": event.model,
        "model_sha256": event.model_sha256,
        "begin": _text(event.begin_ms),
        "end": None if event.end_ms is None else _text(event.end_ms),
        "duration_s": event.duration_s,
    }
    # an id has hyphens, and no underscore
    name = (
        f"{begin:%Y%m%d}_{event.device}_{event.source}-{begin:%H%M%S}{event.begin_ms % 1000:03d}Z_"
        f"{event.id.replace('-', '_')}"
    )
    top = NEGATIVES if label is None else LABELS
    place = PurePosixPath(top, folders.of(event.label if label is None else label), name)
    return Entry(record, (event.device, event.source, event.id), place)


def _missed_record(sound: MissedSound) -> Record:
    return {
        "version": VERSION,
        "kind": "missed",
        "label": sound.label,
        "reviewer": sound.reviewer,
        "reviewed_at": _text(sound.marked_ms),
        "device": sound.device,
        "source": sound.source,
        "begin": _text(sound.begin_ms),
        "end": _text(sound.end_ms),
        "duration_s": (sound.end_ms - sound.begin_ms) / 1000,
        "covered_by": sound.covered_by,  # id of an event whose clip may have it
    }


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _text(ms: int) -> str:
    return f"{_time(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
