"""An export: events of a place, read in order and written to files below one folder.

Owns: the order of reading and writing, and what a failure leaves out. Does not know: a format's lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from pathlib import Path
from typing import Final

from edgeaudio.archive.database import Database
from edgeaudio.archive.export import Context, Found, Names, Writer
from edgeaudio.archive.export.audacity import Audacity
from edgeaudio.archive.export.kaleidoscope import Kaleidoscope
from edgeaudio.archive.export.raven import Raven
from edgeaudio.archive.export.table import Table
from edgeaudio.archive.results import Say, ask, description_of
from edgeaudio.archive.selection import NO_SITE, Filters, Merging, choose, events_of, place_recordings
from edgeaudio.archive.sites import Site, Sites, folder_of
from edgeaudio.errors import EdgeaudioError
from edgeaudio.new_files import ExportError, FullError, ThereError, new_file

WRITERS: Final[dict[str, Callable[[Context], Writer]]] = {
    "raven": Raven,
    "audacity": Audacity,
    "kaleidoscope": Kaleidoscope,
    "csv": Table,
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is exported, and how."""

    format: str  # one of WRITERS
    filters: Filters
    sites: Sites | None = None
    merge_s: float | None = None  # within a recording: a file cannot name what is in the next
    recordings: str = "."
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    events: int
    files: int
    there: int = 0  # files that were there, and were left as they are


def export(place: Path, target: Path, wishes: Wishes, say: Say) -> Exported:
    """Write the events that pass; a file that cannot be written is told, and costs only itself.

    Raises EdgeaudioError.
    """
    writer = WRITERS[wishes.format](Context(_high_hz(place), wishes.recordings))

    def work(results: Database) -> Exported:
        place_recordings(results, wishes.sites, wishes.filters.sites)
        choose(results, wishes.filters, None if wishes.merge_s is None else Merging(wishes.merge_s, "recording"))
        found = in_order(results, wishes.sites)  # of a table in the database: the files were read
        if writer.ending is None:
            return _one_file(found, writer, target, wishes, say)
        return _file_each(found, writer, target, wishes, say)

    return ask(place, events_of(wishes.filters), say, work)


def in_order(results: Database, sites: Sites | None, table: str = "chosen") -> Iterator[Found]:
    """Yield the events of a table by recording and time."""
    rows = results.rows(
        "SELECT recording, site, timezone('UTC', begins_at), timezone('UTC', ends_at), offset_s, duration_s, label, "
        f"score, model, detections FROM {table} ORDER BY recording, offset_s, label, duration_s, key"
    )
    for recording, site, begins_at, ends_at, *rest in rows:
        known = _site(sites, recording, site)
        yield Found(recording, known, begins_at.replace(tzinfo=UTC), ends_at.replace(tzinfo=UTC), *rest)


def _site(sites: Sites | None, recording: str, name: str) -> Site:
    if sites is None:
        return Site(folder_of(recording))
    return sites.of(recording) or Site(name or NO_SITE)


def _one_file(found: Iterable[Found], writer: Writer, target: Path, wishes: Wishes, say: Say) -> Exported:
    count = 0
    try:
        with new_file(target / writer.name, overwrite=wishes.overwrite) as file:
            file.write(writer.head().encode())
            for count, event in enumerate(found, 1):
                file.write(writer.line(event, count).encode())
    except ExportError as error:
        say(str(error))
        return Exported(0, 0, int(isinstance(error, ThereError)))
    return Exported(count, 1)


def _file_each(found: Iterable[Found], writer: Writer, target: Path, wishes: Wishes, say: Say) -> Exported:
    names, events, files, there = Names(), 0, 0, list[ThereError]()
    for recording, of_recording in groupby(found, key=lambda event: event.recording):
        place = names.of(recording)
        file = target / place.with_name(f"{place.name}{writer.ending}")
        count = 0
        try:
            with new_file(file, overwrite=wishes.overwrite) as out:
                out.write(writer.head().encode())
                for count, event in enumerate(of_recording, 1):
                    out.write(writer.line(event, count).encode())
        except ThereError as error:
            there.append(error)
        except FullError as error:
            say(f"{error}; nothing more is exported")
            break
        except ExportError as error:
            say(str(error))
        else:
            events, files = events + count, files + 1
    if there:
        more = f" (and {len(there) - 1:,} more like it)" if len(there) > 1 else ""
        say(f"{there[0]}{more}")
    return Exported(events, files, len(there))


def _high_hz(place: Path) -> float:
    """Return the highest frequency that the model of a place can hear. Raises EdgeaudioError."""
    model = description_of(place).get("model")
    section = model.get("clip") if isinstance(model, dict) else None
    rate = section.get("sample_rate") if isinstance(section, dict) else None
    if not isinstance(rate, int | float) or not 0 < rate <= 1e7:
        raise EdgeaudioError(f"{place}: does not say at which rate its model listens; it was made by another program")
    return rate / 2
