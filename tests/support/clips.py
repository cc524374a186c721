"""Clips in a folder, without a sink that wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from edgeaudio.clips.library import BrokenRecord, Clip, ClipLibrary
from edgeaudio.clips.record import SUFFIX, ClipRecord, Length, Origin, Review, Sound, file_stem

RATE = 16_000  # Hz


def put_clip(
    folder: Path,
    event_id: str,
    onset: datetime,
    *,
    label: str = "Dog",
    score: float = 0.9,
    keep: bool = False,
    n_bytes: int = 1000,
) -> Clip:
    """Write a clip of 7 s, its sound 3 s in, whose file has so many bytes of no sound."""
    stem = file_stem(onset, "porch-dog", event_id)
    sound = f"{stem}.wav"
    record = ClipRecord(
        id=event_id,
        device="garden",
        source="porch",
        label=label,
        score=score,
        model="home",
        model_sha256="0" * 64,
        threshold=0.5,
        off_threshold=0.25,
        begin=onset - timedelta(seconds=3),
        onset=onset,
        end=onset + timedelta(seconds=2),
        before=Length(asked_s=3, got_s=3),
        after=Length(asked_s=2, got_s=2),
        sound=Sound(
            file=sound,
            format="wav",
            bytes=n_bytes,
            sample_rate=RATE,
            channels=1,
            count=7 * RATE,
            onset=3 * RATE,
            offset=5 * RATE,
        ),
        origin=Origin(sample_rate=RATE, epoch=1, first=0),
        written_by="edgeaudio 0",
        review=Review(keep=keep),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sound).write_bytes(bytes(n_bytes))
    file = folder / f"{stem}{SUFFIX}"
    file.write_text(record.to_json(), encoding="utf-8")
    return Clip(file, record)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder has."""

    clips: tuple[Clip, ...]  # newest first
    broken: tuple[BrokenRecord, ...]

    @property
    def count(self) -> int:
        return len(self.clips)

    @property
    def broken_count(self) -> int:
        return len(self.broken)


def listing_of(folder: Path) -> Listing:
    """Return all clips of a folder, and all that is broken. Raises ClipLibraryError."""
    found = list(ClipLibrary(folder).in_order(lambda _: True, newest_first=True))
    clips = tuple(each for each in found if isinstance(each, Clip))
    return Listing(clips, tuple(each for each in found if isinstance(each, BrokenRecord)))
