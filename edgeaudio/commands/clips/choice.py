"""Which clips a command is about: those that pass its filters, or those that are named.

Owns: the filters. Does not know: what is done with the clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edgeaudio.clips.library import BrokenRecord, Clip, ClipLibrary
from edgeaudio.clips.record import ClipRecord
from edgeaudio.commands.troubles import Troubles
from edgeaudio.errors import EdgeaudioError
from edgeaudio.slugs import slugify


@dataclass(frozen=True, slots=True)
class Filters:
    """What clips must be; an empty one lets all pass."""

    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()  # as the model has them, or as topics do
    since: datetime | None = None
    until: datetime | None = None  # not included
    min_score: float = 0.0
    kept: bool = False

    def takes(self, record: ClipRecord) -> bool:
        """True if a clip passes."""
        return (
            (not self.sources or record.source in self.sources)
            and (not self.labels or record.label in self.labels or slugify(record.label) in self.labels)
            and (self.since is None or record.onset >= self.since)
            and (self.until is None or record.onset < self.until)
            and record.score >= self.min_score
            and (not self.kept or record.review.keep)
        )


def filtered(
    library: ClipLibrary, filters: Filters, troubles: Troubles, *, newest_first: bool = True
) -> Iterator[Clip]:
    """Yield the clips that pass, by onset, one in memory at a time. Raises ClipLibraryError."""
    for found in library.in_order(filters.takes, newest_first=newest_first):
        if isinstance(found, BrokenRecord):
            troubles.say(f"{found.file}: left out: {found.why}")
        else:
            yield found


def named(library: ClipLibrary, ids: tuple[str, ...], troubles: Troubles) -> list[Clip]:
    """Return the clips with these ids, or with ids that begin so, in the order given. Raises ClipLibraryError."""
    clips = {}
    for found in library.find_each(dict.fromkeys(ids)).values():
        if isinstance(found, EdgeaudioError):
            troubles.say(str(found))
        else:
            clips[found.file] = found  # two beginnings may mean the same
    return list(clips.values())
