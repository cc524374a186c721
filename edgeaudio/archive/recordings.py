"""The recordings below a folder: which files, when they begin, and which follow each other.

Owns: finding them, in an order that is the same each time, one folder in memory at a time; their keys.
Does not know: results, how they are listened to.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from edgeaudio.archive.lengths import Length, Neighbour, length_of
from edgeaudio.archive.path_patterns import MOST_DEEP, TOO_DEEP, is_folder, is_pattern, matching
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
FILE_DIGITS, TIME_DIGITS = 24, 8  # of a key
_DIGITS = re.compile(r"\d{6,}")  # the time; a serial number before it, as SoundTrap's, stays
_SERIAL = re.compile(r"\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be listened to."""

    path: str  # below the root, with slashes
    source: str  # where it can be read
    size_bytes: int
    changed_ns: int
    begins_at: datetime  # aware UTC
    length: Length | None  # None: known only once it is heard
    before: Neighbour | None = None  # the recording that ends where this one begins
    after: Neighbour | None = None  # and the one that begins where it ends

    @property
    def key(self) -> str:
        """Hash of path, size and time of change, for a file that was replaced is another recording; and of its time."""
        file = _digest(f"{self.path}\n{self.size_bytes}\n{self.changed_ns}").hex()[:FILE_DIGITS]
        return file + _digest(self.begins_at.isoformat()).hex()[:TIME_DIGITS]

    @property
    def path_hash(self) -> int:
        """Number of 64 bits that depends on the path alone, the same on every machine."""
        return int.from_bytes(_digest(self.path)[:8], "big")

    @property
    def recorder(self) -> str:
        """What recordings of one recorder have in common: their folder, and the name without the time."""
        folder, _, name = self.path.rpartition("/")
        serial = _SERIAL.match(name)
        kept = serial.group() if serial else ""
        return f"{folder}/{kept}{_DIGITS.sub('#', name[len(kept) :])}"

    @property
    def ends_at(self) -> datetime | None:
        """End of its sound, as far as its header tells."""
        return None if self.length is None else self.begins_at + timedelta(seconds=self.length.seconds)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that cannot be listened to, or a folder that cannot be looked into, and why, in one line."""

    path: str
    error: str


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

        yield from find_in_bucket(target, begins_at)
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
        yield from _below(root, "", begins_at, frozenset())
    elif os.path.exists(target):  # noqa: PTH110 (as above)
        yield from _in_order([_entry(root, Path(target).name, begins_at)])
    else:
        yield from _that_match(root, Path(target).relative_to(root), begins_at)


def _that_match(root: Path, pattern: Path, begins_at: BeginsAt) -> Iterator[Recording | LeftOut]:
    """Yield what matches a pattern. Other files than recordings match by their whole ending."""
    if ".." in pattern.parts:  # each recording would be there once for every folder that leads to it
        raise EdgeaudioError(f"{root / pattern}: a pattern cannot have .. behind * ? or [; name the folder itself")
    any_ending = pattern.suffix != "" and not is_pattern(pattern.suffix)
    folders: dict[str, set[str]] = {}
    unseen: dict[str, str] = {}  # two ** may lead to a folder twice
    for path, error in matching(root, pattern.parts):
        folder, slash, name = path.rpartition("/")
        if error is not None:
            unseen[path] = error
        elif _may_be_recording(name, any_ending=any_ending):
            folders.setdefault(folder + slash, set()).add(name)
    yield from (LeftOut(path, error) for path, error in sorted(unseen.items()))
    for prefix, names in sorted(folders.items()):
        yield from _in_order([_entry(root, prefix + name, begins_at) for name in sorted(names)])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _may_be_recording(name: str, *, any_ending: bool = False) -> bool:
    if name.startswith("."):
        return False  # of the system: macOS's ._NAME.wav is none
    return any_ending or os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (100,000 Paths take seconds)


def _below(
    root: Path, folder: str, begins_at: BeginsAt, above: frozenset[tuple[int, int]]
) -> Iterator[Recording | LeftOut]:
    """Yield the recordings of a folder, then those of the folders in it. `above`: those that lead here."""
    if len(above) > MOST_DEEP:
        yield LeftOut(folder, TOO_DEEP)
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
        yield LeftOut(folder or str(root), f"cannot be looked into: {error.strerror}")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return  # a link that leads back
    prefix = f"{folder}/" if folder else ""
    entries_here = []
    names.sort(reverse=True)
    while names:  # a name is forgotten as it becomes an entry: there may be 100,000
        entries_here.append(_entry(root, prefix + names.pop(), begins_at))
    yield from _in_order(entries_here)
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
    return Recording(name, str(path), status.st_size, status.st_mtime_ns, begins, length)


def _in_order(entries: list[Recording | LeftOut]) -> Iterator[Recording | LeftOut]:
    """Yield what cannot be listened to, then recordings in order of time, each with its neighbours."""
    yield from (each for each in entries if isinstance(each, LeftOut))
    recordings = sorted(
        (each for each in entries if isinstance(each, Recording)), key=lambda each: (each.begins_at, each.path)
    )
    entries.clear()
    last: dict[str, int] = {}  # place of the recorder's last recording
    for index, recording in enumerate(recordings):
        before = last.get(recording.recorder)
        last[recording.recorder] = index
        if before is not None and follows(recordings[before], recording):
            first = recordings[before]
            recordings[before] = replace(first, after=_neighbour(recording))
            recordings[index] = replace(recording, before=_neighbour(first))
    yield from recordings


def follows(first: Recording, second: Recording) -> bool:
    """True if the second begins where the first ends, and has its form."""
    if first.length is None or second.length is None or first.ends_at is None:
        return False
    of_one_form = first.length.form == second.length.form
    return of_one_form and abs((second.begins_at - first.ends_at).total_seconds()) < FOLLOWS_WITHIN_S


def _neighbour(recording: Recording) -> Neighbour | None:
    return None if recording.length is None else Neighbour(recording.source, recording.length)
