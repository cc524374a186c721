"""What an export looks like: names of sounds, the files beside them, and tables of all of them.

A layout is given one clip after the other, by onset. No text of a record becomes a path, or a field of a table, as it
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Protocol

from edgeaudio.clips.record import ClipRecord


@dataclass(frozen=True, slots=True)
class Exported:
    """A clip whose sound has been written."""

    record: ClipRecord
    file: Path
    place: PurePath  # of the file in the folder of the export
    count: int  # samples of a channel

    @property
    def length_s(self) -> float:
        """Length of the sound."""
        return self.count / self.record.sound.sample_rate

    @property
    def event_s(self) -> tuple[float, float]:
        """Where the event begins and ends in the file, within it."""
        sound = self.record.sound
        onset = min(sound.onset, self.count)
        offset = self.count if sound.offset is None else min(max(onset, sound.offset), self.count)
        return onset / sound.sample_rate, offset / sound.sample_rate


@dataclass(frozen=True, slots=True)
class Row:
    """A clip's line in a table of the export."""

    table: str  # its file name
    head: str  # its first line
    line: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What is written of a clip besides its sound."""

    beside: Mapping[str, str] = field(default_factory=dict)  # files under the sound's name, by their endings
    row: Row | None = None


class Layout(Protocol):
    """One layout, for one export."""

    wav: bool  # the programs that read it know WAV best
    tables: tuple[str, ...]  # patterns of the tables' names

    def place(self, record: ClipRecord) -> PurePath:
        """Return the place of the sound in the folder, without the ending of its name."""
        ...

    def texts(self, exported: Exported) -> Texts:
        """Return what is written of a clip; called once for each, in the order of the export."""
        ...
