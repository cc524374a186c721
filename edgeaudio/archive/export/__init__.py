"""Events as other programs read them: a writer for each, of which `writing.py` calls one.

No text of a result becomes a path, or a cell of a table, as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from typing import Protocol

from edgeaudio.archive.sites import Site
from edgeaudio.slugs import LabelFolders


@dataclass(frozen=True, slots=True)
class Found:
    """An event of a recording."""

    recording: str  # path below the archive's root
    site: Site
    begins_at: datetime  # aware UTC
    ends_at: datetime
    offset_s: float  # of its beginning in the recording; negative where it began in the one before
    duration_s: float
    label: str
    score: float
    model: str
    detections: int  # that were made this one

    @property
    def span_s(self) -> tuple[float, float]:
        """Where it begins and ends in the recording; one that began in the recording before begins with this one."""
        return max(0.0, self.offset_s), max(0.0, self.offset_s + self.duration_s)


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for all events of an export."""

    high_hz: float  # up to which the model listens
    recordings: str  # the folder that recordings' paths are below, as it was given; "." where it was not


class Writer(Protocol):
    """One format."""

    ending: str | None  # of a file for each recording; None: one file for all
    name: str  # of the one file

    def head(self) -> str:
        """Return the first lines of a file."""

    def line(self, found: Found, number: int) -> str:
        """Return the line of an event; number: from 1, in its file."""


class Names:
    """Names of files for recordings, which any file system can hold, and no two of which are one."""

    def __init__(self) -> None:
        self._folders: dict[PurePath, LabelFolders] = {}

    def of(self, recording: str) -> PurePath:
        """Return the place of a recording below a folder; its own where it can be."""
        place = PurePath()
        for part in _parts(recording):
            place /= self._folders.setdefault(place, LabelFolders()).of(part)
        return place


def _parts(recording: str) -> Sequence[str]:
    parts = [part for part in PurePosixPath(recording).parts if part != "/"]
    return parts or ["recording"]
