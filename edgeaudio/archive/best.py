"""The best of each label as clips, cut from the recordings, for a person to judge.

Owns: which events are the best, where a clip begins and ends, and the table beside the clips.
Does not know: how sound is decoded (capture/) or encoded (media/).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite
from pathlib import Path, PurePath
from typing import Final

import numpy as np

from edgeaudio.archive.database import Database
from edgeaudio.archive.export import Found
from edgeaudio.archive.export.writing import in_order
from edgeaudio.archive.results import Say, ask
from edgeaudio.archive.selection import Filters, Merging, choose, events_of, place_recordings
from edgeaudio.archive.sites import Sites
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.clock import timestamp
from edgeaudio.errors import EdgeaudioError
from edgeaudio.label_tables import csv_line
from edgeaudio.media.writer import AudioForm, AudioFormat, AudioWriter
from edgeaudio.new_files import ExportError, FullError, new_file, writing
from edgeaudio.slugs import LabelFolders, slugify
from edgeaudio.types import Block, Samples

PAD_S: Final = 1.0  # of sound before and after an event
MOST_S: Final = 30.0  # of an event that is in its clip: what lasts for hours is judged by its beginning
TABLE: Final = "best.csv"
COLUMNS: Final = (
    "file", "label", "rank", "score", "recording", "site", "begins_at", "offset_s", "duration_s", "begins_in_clip_s",
    "verdict", "comment",
)  # fmt: skip
_LONGEST_S: Final = 4e7  # of a recording
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is cut, and how."""

    count: int  # of each label
    filters: Filters
    recordings: Path  # the folder that the archive was made of
    format: AudioFormat = "flac"
    sites: Sites | None = None
    merge_s: float | None = None
    overwrite: bool = False


@dataclass(slots=True)
class _Clip:
    """An event that is being cut."""

    found: Found
    rank: int
    place: PurePath  # of the file below the folder of the export, without the ending
    pieces: list[Samples]
    begin_s: float  # of the clip, in the recording
    end_s: float

    @classmethod
    def of(cls, found: Found, rank: int, place: PurePath) -> _Clip:
        end_s = found.offset_s + min(found.duration_s, MOST_S) + PAD_S
        return cls(found, rank, place, [], max(0.0, found.offset_s - PAD_S), end_s)


def cut_best(place: Path, target: Path, wishes: Wishes, say: Say) -> int:
    """Write the clips and their table; return how many there are. A missing recording costs only its own clips.

    Raises EdgeaudioError.
    """
    root = wishes.recordings
    if not root.is_dir():
        raise EdgeaudioError(f"{root}: is no folder; name that of the recordings, which the archive was made of")

    def work(results: Database) -> list[tuple[Found, int]]:
        place_recordings(results, wishes.sites, wishes.filters.sites)
        choose(results, wishes.filters, None if wishes.merge_s is None else Merging(wishes.merge_s, "recording"))
        results.make(_BEST, {"count": wishes.count})
        ranks = [rank for (rank,) in results.rows(_RANKS)]
        return list(zip(in_order(results, wishes.sites, "best"), ranks, strict=True))

    best = ask(place, events_of(wishes.filters), say, work)
    if (target / TABLE).exists() and not wishes.overwrite:
        raise ExportError(f"{target / TABLE}: is the table of another export; replace it by --overwrite")
    return _cut(best, target, wishes, say)


_BEST = """
CREATE TABLE best AS
SELECT *, row_number() OVER (PARTITION BY label ORDER BY score DESC, begins_at, recording, offset_s, key) AS rank
FROM chosen QUALIFY rank <= $count
"""
_RANKS = "SELECT rank FROM best ORDER BY recording, offset_s, label, duration_s, key"  # as in_order has them


def _cut(best: Sequence[tuple[Found, int]], target: Path, wishes: Wishes, say: Say) -> int:
    folders, done = LabelFolders(), list[tuple[_Clip, str]]()
    for recording, of_recording in groupby(best, key=lambda each: each[0].recording):
        clips = [_Clip.of(found, rank, _place(folders, found, rank)) for found, rank in of_recording]
        wanted = len(done) + len(clips)
        try:
            _cut_recording(recording, clips, target, wishes, done)
        except FullError as error:
            say(f"{error}; nothing more is cut")
            break
        except SourceError as error:
            say(f"{recording}: {error.explanation}; {_clips(wanted - len(done))} left out")
        except EdgeaudioError as error:
            say(f"{error}; {_clips(wanted - len(done))} left out")
    with new_file(target / TABLE, overwrite=wishes.overwrite) as table:
        table.write(csv_line(COLUMNS).encode())
        for clip, name in sorted(done, key=lambda each: (each[0].found.label, each[0].rank)):
            table.write(_line(clip, name).encode())
    return len(done)


def _clips(count: int) -> str:
    return "1 clip is" if count == 1 else f"{count} clips are"


def _place(folders: LabelFolders, found: Found, rank: int) -> PurePath:
    stem = slugify(PurePath(found.recording).stem)[:60].strip("-")
    return PurePath(folders.of(found.label), f"{rank:04d}_{found.score:.3f}_{stem}_{found.offset_s:.1f}s")


def _cut_recording(
    recording: str, clips: Sequence[_Clip], target: Path, wishes: Wishes, done: list[tuple[_Clip, str]]
) -> None:
    """Write the clips of a recording, which is decoded up to the last. Raises EdgeaudioError, SourceError."""
    path = _recording_file(wishes.recordings, recording)
    if not all(isfinite(clip.begin_s) and clip.begin_s < clip.end_s < _LONGEST_S for clip in clips):
        raise EdgeaudioError(f"{recording}: has times that cannot be in its result")
    waiting = list(clips)
    form: AudioForm | None = None
    for block in _blocks(path, max(clip.end_s for clip in clips)):
        form = AudioForm.of(wishes.format, block.sample_rate, block.n_channels)
        begin_s = (block.at - _EPOCH).total_seconds()
        for clip in waiting:
            _take(clip, block, begin_s)
        for clip in [clip for clip in waiting if clip.end_s <= begin_s + block.duration_s]:
            waiting.remove(clip)
            done.append((clip, _write(clip, form, target, overwrite=wishes.overwrite)))
    for clip in waiting:  # the recording ends within what is wanted around them
        if not clip.pieces or form is None:
            raise EdgeaudioError(f"{path}: ends before what was heard in it; it is another one than was listened to")
        done.append((clip, _write(clip, form, target, overwrite=wishes.overwrite)))


def _recording_file(root: Path, recording: str) -> Path:
    """Return the file of a recording below the root, nowhere else. Raises EdgeaudioError."""
    path = root / recording
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        if inside and path.is_file():
            return path
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise EdgeaudioError(f"{recording}: is not below {root}")


def _blocks(path: Path, end_s: float) -> Iterator[Block]:
    config = SourceConfig(name="recording", url=str(path.absolute()))
    with open_source(config, threading.Event(), media_start=_EPOCH) as connection:
        for block in connection:
            yield block
            if (block.at - _EPOCH).total_seconds() + block.duration_s >= end_s:
                return


def _take(clip: _Clip, block: Block, begin_s: float) -> None:
    rate = block.sample_rate
    first, last = (round((at_s - begin_s) * rate) for at_s in (clip.begin_s, clip.end_s))
    piece = block.samples[max(0, first) : max(0, last)]
    if len(piece) and (not clip.pieces or clip.pieces[0].shape[1:] == piece.shape[1:]):
        clip.pieces.append(piece.copy())


def _write(clip: _Clip, form: AudioForm, target: Path, *, overwrite: bool) -> str:
    """Write a clip whole or not at all; return its name below the folder. Raises ExportError."""
    name = f"{clip.place}.{'ogg' if form.format == 'opus' else form.format}"
    file = target / name
    if file.exists() and not overwrite:
        raise ExportError(f"{file}: is there already, and is left as it is; --overwrite replaces it")
    part = file.with_name(f".{file.name}.part")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            writer = AudioWriter(part, form)
            writer.write(np.concatenate(clip.pieces))
            writer.close()
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    clip.pieces.clear()
    return PurePath(name).as_posix()


def _line(clip: _Clip, name: str) -> str:
    found = clip.found
    times = (f"{found.offset_s:.3f}", f"{found.duration_s:.3f}", f"{found.span_s[0] - clip.begin_s:.3f}")
    what = (found.label, clip.rank, f"{found.score:.4f}", found.recording, found.site.site)
    return csv_line([name, *what, timestamp(found.begins_at), *times, "", ""])
