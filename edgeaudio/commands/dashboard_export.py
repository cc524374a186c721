"""`edgeaudio dashboard export`: what people said about sounds, as a training set in a folder.

Owns: how it is written, and what is printed. Does not know: what is in it (dashboard/training_set.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from edgeaudio.commands.database_option import fleet_database
from edgeaudio.dashboard import history, training_set
from edgeaudio.dashboard.database import Database
from edgeaudio.dashboard.event_store import FleetEvents
from edgeaudio.dashboard.history import Filter, History
from edgeaudio.dashboard.media.archive import MediaArchive
from edgeaudio.dashboard.missed import MissedSounds
from edgeaudio.errors import EdgeaudioError
from edgeaudio.new_files import new_file, writing
from edgeaudio.settings import Settings
from edgeaudio.settings.places import FLEET_DATABASE_VARIABLE
from edgeaudio.terminal import print_error, print_out


def export(settings: Settings, target: Path, wanted: Filter, database_option: str | None = None) -> int:
    """Write the set into a folder that is new or empty; returns the exit status. Raises EdgeaudioError."""
    path = settings.history_path
    url = fleet_database(database_option, FLEET_DATABASE_VARIABLE, "--database")
    if not path.exists():
        raise EdgeaudioError(f"history {path}: is not there; set dashboard.database to that of the dashboard")
    database = Database(path, (), history.upgrade)  # it is only read: the dashboard may be running
    clips = MediaArchive(database, settings.received_clips_folder, max_bytes=0, keep_s=0.0)  # likewise
    fleet = None if url is None else FleetEvents.of(url)
    try:
        found = (
            training_set.entries(History(database, keep_s=0.0), MissedSounds(database), wanted)
            if fleet is None
            else training_set.entries(fleet.history, fleet.missed, wanted)
        )
        records, sounds = _write(training_set.items(found, training_set.sounds_of(clips)), target)
    finally:
        if fleet is not None:
            fleet.store.close()
        database.close()
    if not records:
        print_error("edgeaudio: nothing is reviewed, or nothing passes the filters")
        return 0
    print_out(f"{target}: {sounds} sound{'s' if sounds != 1 else ''} of {records} records in {training_set.REVIEWS}")
    if sounds:
        print_out(f"next: {training_set.advice(shlex.quote(str(target)))}")
    else:
        print_out("of none of them a clip is here: set clips.publish on the devices (docs/clips.md)")
    return 0


def _write(items: Iterator[training_set.Item], target: Path) -> tuple[int, int]:
    """Write all items; return the numbers of records and of sounds. Raises EdgeaudioError."""
    records = sounds = 0
    with writing(target):
        if target.exists() and next(target.iterdir(), None):
            raise EdgeaudioError(f"{target}: is not empty, and verdicts may have changed since: export to a new folder")
        first = next(items, None)
        if first is None:
            return 0, 0
        target.mkdir(parents=True, exist_ok=True)
    with new_file(target / training_set.REVIEWS, overwrite=False) as lines:
        for item in chain((first,), items):
            for name, content in item.files:
                with new_file(target / name, overwrite=False) as file:
                    file.write(content)
            lines.write(item.line.encode())
            records += 1
            sounds += bool(item.files)
    return records, sounds
