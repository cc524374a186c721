"""The recordings below a folder: which files, when they begin, and which follow each other.

Owns: finding them, in an order that is the same each time, one folder in memory at a time; their keys.
Does not know: results, how they are listened to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from edgeaudio.archive.keys import Key, digest, identity_of
from edgeaudio.archive.lengths import Length, Neighbour, length_of
from edgeaudio.archive.path_patterns import MOST_DEEP, RECURSIVE, TOO_DEEP, is_folder, is_pattern, matching
from edgeaudio.archive.recorders import recorders_of, spans_folders
from edgeaudio.errors import EdgeaudioError

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *(
            "aac",
            "ac3",
            "aif",
            "aifc",
            "aiff",
            "amr",
            "ape",
            "au",
            "avi",
            "caf",
            "flac",
            "m4a",
            "m4b",
            "mka",
            "mkv",
            "mov",
        ),
        *("mp2", "mp3", "mp4", "oga", "ogg", "opus", "rf64", "snd", "tta", "w64", "wav", "wave", "webm", "wma", "wv"),
    )
)
FOLLOWS_WITHIN_S = 1.0  # names have whole seconds: less is neither a gap nor an overlap


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be listened to."""

    path: str  # below the root, with slashes
    root: str  # where that is: a folder, or an address
    size_bytes: int
    changed_ns: int
    begins_at: datetime  # aware UTC
    length: Length | None  # None: known only once it is heard
    recorder: str = ""  # the same for all recordings of one recorder (recorders.py)
    before: Neighbour | None = None  # the recording that ends where this one begins
    after: Neighbour | None = None  # and the one that begins where it ends

    @property
    def source(self) -> str:
        """Where it can be read."""
        return f"{self.root}/{self.path}"

    @property
    def key(self) -> Key:
        """All that its rows depend on."""
        before, after = (None if side is None else side.identity for side in (self.before, self.after))
        return Key.of(self.path, self.size_bytes, self.changed_ns, self.begins_at, before, after)

    @property
    def path_hash(self) -> int:
        """Number of 64 bits that depends on the path alone, the same on every machine."""
        return int.from_bytes(digest(self.path)[:8], "big")

    @property
    def ends_at(self) -> datetime | None:
        """End of its sound, as far as its header tells."""
        return None if self.length is None else self.begins_at + timedelta(seconds=self.length.seconds)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that cannot be listened to, or a folder that cannot be looked into, and why, in one line."""

    path: str
    error: str


Folder = list[Recording | LeftOut]
"""What is in one folder: who reads it empties it."""

BeginsAt = Callable[[str, Path], datetime]
"""When a recording begins, by its path below the root and where it lies; raises EdgeaudioError or OSError."""


def root_of(target: str) -> Path:
    """Return the folder below which paths are keyed: a folder itself, else the part before a pattern."""
    path = Path(target)
    if not is_pattern(target) or os.path.exists(target):  # noqa: PTH110 (Path.exists raises for a name too long)
        return path.parent if os.path.isfile(target) else path  # noqa: PTH113 (as above)
    plain = []
    for part in path.parts:
        if is_pattern(part):
            break
        plain.append(part)
    return Path(*plain)


def find_recordings(target: str, begins_at: BeginsAt) -> Iterator[Recording | LeftOut]:
    """Yield what lies below a folder, is named, or matches a pattern, folder by folder, in order of time.

    Raises EdgeaudioError if there is no such folder, or the pattern is none.
    """
    if "://" in target:
        from edgeaudio.archive.recordings_s3 import find_in_bucket  # noqa: PLC0415 (it knows this module)

        yield from in_order(find_in_bucket(target, begins_at))
        return
    root = root_of(target)
    try:
        os.stat(root)  # noqa: PTH116 (its error names the path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no possible name"
        raise EdgeaudioError(f"{root}: cannot be looked into: {reason}; name a folder of recordings") from None
    if "\n" in os.path.abspath(root):  # noqa: PTH100 (no link is followed)
        raise EdgeaudioError(f"{str(root)!r}: its name, or that of a folder above, has a line break; rename it")
    if os.path.isdir(target):  # noqa: PTH112 (Path.is_dir raises for a name too long)
        yield from in_order(_below(root, "", begins_at, frozenset()))
    elif os.path.exists(target):  # noqa: PTH110 (as above)
        yield from in_order([[_entry(root, Path(target).name, begins_at)]])
    else:
        yield from in_order(_that_match(root, Path(target).relative_to(root), begins_at))


def _that_match(root: Path, pattern: Path, begins_at: BeginsAt) -> Iterator[Folder]:
    """Yield what matches a pattern, folder by folder. Other files than recordings match by their whole ending."""
    if ".." in pattern.parts:  # each recording would be there once for every folder that leads to it
        raise EdgeaudioError(f"{root / pattern}: a pattern cannot have .. behind * ? or [; name the folder itself")
    any_ending = _names_ending(pattern)
    folders: dict[str, set[str]] = {}
    unseen: dict[str, str] = {}  # two ** may lead to a folder twice
    for path, error in matching(root, pattern.parts):
        folder, slash, name = path.rpartition("/")
        if error is not None:
            unseen[path] = error
        elif _may_be_recording(name, any_ending=any_ending):
            folders.setdefault(folder + slash, set()).add(name)
    yield [LeftOut(path, error) for path, error in sorted(unseen.items())]
    for prefix, names in sorted(folders.items()):
        yield [_entry(root, prefix + name, begins_at) for name in sorted(names)]


def begun(found: Iterator[Recording | LeftOut]) -> Iterator[Recording | LeftOut]:
    """Return the same, with the first looked for now: what cannot be looked into is told before anything else."""
    return chain([first for first in [next(found, None)] if first is not None], found)


def deeper_pattern(target: str) -> str | None:
    """Return the pattern that finds recordings in all folders below one that finds none; None if none does."""
    if "://" in target or not is_pattern(target) or RECURSIVE in Path(target).parts:
        return None
    root, path = root_of(target), Path(target)
    deeper = path.parent / RECURSIVE / path.name
    any_ending = _names_ending(path)
    found = (name for name, error in matching(root, deeper.relative_to(root).parts) if error is None)
    return str(deeper) if any(_may_be_recording(Path(name).name, any_ending=any_ending) for name in found) else None


def _names_ending(pattern: Path) -> bool:
    """True if a pattern says which ending files have."""
    return pattern.suffix != "" and not is_pattern(pattern.suffix)


def _may_be_recording(name: str, *, any_ending: bool = False) -> bool:
    if name.startswith("."):
        return False  # of the system: macOS's ._NAME.wav is none
    return any_ending or os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (100,000 Paths take seconds)


def _below(root: Path, folder: str, begins_at: BeginsAt, above: frozenset[tuple[int, int]]) -> Iterator[Folder]:
    """Yield the recordings of a folder, then those of the folders in it. `above`: those that lead here."""
    if len(above) > MOST_DEEP:
        yield [LeftOut(folder, TOO_DEEP)]
        return
    try:
        status = (root / folder).stat()
        with os.scandir(root / folder) as entries:
            names, folders = [], []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                may_be_recording, folder_here = _may_be_recording(entry.name), is_folder(entry)
                if folder_here or (folder_here is None and not may_be_recording):
                    folders.append(entry.name)
                elif may_be_recording:
                    names.append(entry.name)
    except OSError as error:
        yield [LeftOut(folder or str(root), f"cannot be looked into: {error.strerror}")]
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return  # a link that leads back
    prefix = f"{folder}/" if folder else ""
    entries_here: Folder = []
    names.sort(reverse=True)
    while names:  # a name is forgotten as it becomes an entry: there may be 100,000
        entries_here.append(_entry(root, prefix + names.pop(), begins_at))
    yield entries_here
    for name in sorted(folders):
        yield from _below(root, prefix + name, begins_at, above | {identity})


def _entry(root: Path, name: str, begins_at: BeginsAt) -> Recording | LeftOut:
    path = root / name
    try:
        name.encode()
    except UnicodeEncodeError:  # no column of text can hold it, and no other program would find it by one
        return LeftOut(name, "its name, or a folder's, is no UTF-8; rename it (convmv -f latin1 -t utf8 does many)")
    if "\n" in name:
        return LeftOut(name, "its name, or a folder's, has a line break in it; rename it")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return LeftOut(name, "is no regular file")  # to open a pipe may wait for ever
        begins = begins_at(name, path)
    except OSError as error:
        return LeftOut(name, f"cannot be read: {error.strerror}")
    except EdgeaudioError as error:
        return LeftOut(name, str(error))
    length = length_of(path, status.st_size)
    return Recording(name, str(root), status.st_size, status.st_mtime_ns, begins, length)


def in_order(folders: Iterable[Folder]) -> Iterator[Recording | LeftOut]:
    """Yield what cannot be listened to, then recordings in order of time, each with its neighbours, by folder.

    The last one of a recorder that writes into folders by date comes when the next such folder is known. Of one
    recorder, recordings are in order of time if its folders are.
    """
    waiting: dict[str, Recording] = {}  # by recorder
    for folder in folders:
        yield from (each for each in folder if isinstance(each, LeftOut))
        recordings = sorted(
            (each for each in folder if isinstance(each, Recording)), key=lambda each: (each.begins_at, each.path)
        )
        folder.clear()
        last = _join(recordings, waiting)
        yield from (waiting.pop(name) for name in last if name in waiting)
        held = {index: name for name, index in last.items() if spans_folders(name)}
        for index, recording in enumerate(recordings):
            if index in held:
                waiting[held[index]] = recording
            else:
                yield recording
    yield from waiting.values()


def _join(recordings: list[Recording], waiting: dict[str, Recording]) -> dict[str, int]:
    """Give the recordings of a folder their recorders and neighbours; return the place of each recorder's last one.

    `waiting`: the last ones of folders before, which are joined too.
    """
    last: dict[str, int] = {}
    place = recordings[0].path.rpartition("/")[0] if recordings else ""
    names = ((each.path.rpartition("/")[2], each.begins_at) for each in recordings)
    for index, recorder in enumerate(recorders_of(place, names)):
        second = replace(recordings[index], recorder=recorder)
        before = last.get(recorder)
        first = waiting.get(recorder) if before is None else recordings[before]
        if first is not None and follows(first, second):
            joined = replace(first, after=_neighbour(second))
            if before is None:
                waiting[recorder] = joined
            else:
                recordings[before] = joined
            second = replace(second, before=_neighbour(first))
        recordings[index] = second
        last[recorder] = index
    return last


def follows(first: Recording, second: Recording) -> bool:
    """True if the second begins where the first ends, and has its form."""
    if first.length is None or second.length is None or first.ends_at is None:
        return False
    of_one_form = first.length.form == second.length.form
    return of_one_form and abs((second.begins_at - first.ends_at).total_seconds()) < FOLLOWS_WITHIN_S


def _neighbour(recording: Recording) -> Neighbour | None:
    if recording.length is None:
        return None
    identity = identity_of(recording.size_bytes, recording.changed_ns)
    return Neighbour(recording.source, recording.length, identity)
