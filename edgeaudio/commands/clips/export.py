"""`edgeaudio clips export`: copies clips to a folder, in the layout of another program.

Owns: the order of the steps, and what a failure leaves out: one clip, or all that would follow.
Does not know: layouts (layouts/), how sound is copied (sound_files.py).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from edgeaudio.capture.errors import StoppedError
from edgeaudio.clips.library import Clip, ClipLibrary
from edgeaudio.commands.clips.choice import Filters, filtered, named
from edgeaudio.commands.clips.layouts import Exported, Layout, Row
from edgeaudio.commands.clips.layouts.audacity import Audacity
from edgeaudio.commands.clips.layouts.macaulay import Macaulay
from edgeaudio.commands.clips.layouts.raven import Raven
from edgeaudio.commands.clips.layouts.training import Training
from edgeaudio.commands.clips.sound_files import copy_sound, write_wav
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.troubles import Troubles
from edgeaudio.errors import EdgeaudioError
from edgeaudio.new_files import ExportError, FullError, new_file, writing
from edgeaudio.terminal import print_error, print_out

LAYOUTS: Final[dict[str, Callable[[], Layout]]] = {
    "audacity": Audacity,
    "raven": Raven,
    "macaulay": Macaulay,
    "training": Training,
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be exported, and how."""

    layout: str
    filters: Filters
    ids: tuple[str, ...] = ()  # instead of filters
    wav: bool | None = None  # None: as the layout needs it
    overwrite: bool = False


def export(folder: Path, target: Path, wishes: Wishes) -> int:
    """Copy the chosen clips; 2 if one of them was left out. Raises EdgeaudioError."""
    if wishes.ids and wishes.filters != Filters():
        raise EdgeaudioError("clips are named and filtered; do one of the two")
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
        raise EdgeaudioError(f"{target}: is where the clips are; export to another folder")
    library, troubles = ClipLibrary(folder), Troubles()
    with stopped_by_interrupt() as stop:
        if wishes.ids:
            found = named(library, wishes.ids, troubles)
            clips = iter(sorted(found, key=lambda clip: (clip.record.onset, clip.file.name)))
        else:
            clips = filtered(library, wishes.filters, troubles, newest_first=False)
        count = _Export(target, wishes, troubles, stop).take(clips)
    if count or troubles.count:
        left_out = f"; {troubles.count} left out" if troubles.count else ""
        print_out(f"{target}: {count} clip{'s' if count != 1 else ''} exported{left_out}")
    else:
        print_error("edgeaudio: no clips")
    return troubles.status()


class _Export:
    """One export."""

    def __init__(self, target: Path, wishes: Wishes, troubles: Troubles, stop: threading.Event) -> None:
        self._target = target
        self._layout = layout = LAYOUTS[wishes.layout]()
        self._wav = layout.wav if wishes.wav is None else wishes.wav
        self._overwrite = wishes.overwrite
        self._troubles = troubles
        self._stop = stop
        self._ready = False
        self._tables: dict[str, BinaryIO] = {}  # open: each gets its name when all of it is written

    def take(self, clips: Iterator[Clip]) -> int:
        """Export clip by clip, until no more can be written; return how many there are now. Raises EdgeaudioError."""
        count = 0
        with ExitStack() as closing:
            for clip in clips:
                self._require_target()
                try:
                    if (row := self._write_sound(clip)) is not None:
                        self._write_row(row, closing)
                except StoppedError:
                    break
                except FullError as error:
                    self._troubles.say(f"{error}; nothing more is exported")
                    break
                except EdgeaudioError as error:
                    self._troubles.say(str(error))
                else:
                    count += 1
                if self._stop.is_set():
                    break
        return count

    def _require_target(self) -> None:
        """Make the folder, once. Raises ExportError if it cannot be written to, or has the table of another export."""
        if self._ready:
            return
        self._ready = True
        with writing(self._target):
            self._target.mkdir(parents=True, exist_ok=True)
            if not os.access(self._target, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        for pattern in () if self._overwrite else self._layout.tables:
            for table in self._target.glob(pattern):
                raise ExportError(
                    f"{table}: is the table of another export; export to an empty folder, or replace it by --overwrite"
                )

    def _write_sound(self, clip: Clip) -> Row | None:
        """Write a clip's sound and what lies beside it, all or nothing; return its row. Raises EdgeaudioError."""
        record = clip.record
        convert = self._wav and record.sound.format != "wav"
        place = self._layout.place(record)
        stem = place.name
        place = place.with_name(stem + (".wav" if convert else clip.sound.suffix))
        file = self._target / place
        with new_file(file, overwrite=self._overwrite) as out:
            count = write_wav(clip, out, self._stop) if convert else copy_sound(clip, out)
            texts = self._layout.texts(Exported(record, file, place, count))
            for ending, text in texts.beside.items():
                with new_file(file.with_name(stem + ending), overwrite=self._overwrite) as beside:
                    beside.write(text.encode())
        return texts.row

    def _write_row(self, row: Row, closing: ExitStack) -> None:
        """Write a line of a table, which is opened with its first. Raises ExportError."""
        file = self._target / row.table
        with writing(file):
            if row.table not in self._tables:
                self._tables[row.table] = closing.enter_context(new_file(file, overwrite=self._overwrite))
                self._tables[row.table].write(row.head.encode())
            self._tables[row.table].write(row.line.encode())
