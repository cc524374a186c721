"""The recordings below a folder: which files, when they begin, and which follow each other.

Owns: finding them, in an order that is the same each time, one folder in memory at a time; their keys.
Does not know: results, how they are listened to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from edgeaudio.archive.lengths import Length, length_of
from edgeaudio.errors import EdgeaudioError

SUFFIXES = frozenset(
    ".aac .ac3 .aif .aifc .aiff .amr .ape .au .avi .caf .dff .dsf .flac .m4a .m4b .mka .mkv .mov .mp2 .mp3 .mp4 .mpc .oga "
    ".ogg .opus .rf64 .snd .spx .tta .w64 .wav .wave .weba .webm .wma .wv".split()
)
KEY_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be listened to."""

    path: str  # below the root, with slashes
    source: str  # where it can be read
    size_bytes: int
    changed_ns: int
    begins_at: datetime  # aware UTC
    length: Length | None  # None: known only once it is heard

    @property
    def key(self) -> str:
        """Hash of path, size and time of change: a file that was replaced is another recording."""
        return _digest(f"{self.path}\n{self.size_bytes}\n{self.changed_ns}").hex()[:KEY_DIGITS]

    @property
    def path_hash(self) -> int:
        """Number of 64 bits that depends on the path alone, the same on every machine."""
        return int.from_bytes(_digest(self.path)[:8], "big")

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
"""When a recording begins, by its path below the root and where it lies; raises EdgeaudioError, which says what to do."""


def root_of(target: str) -> Path:
    """Return the folder below which paths are keyed: a folder itself, else the part before a pattern."""
    path = Path(target)
    if not _is_pattern(target) or path.exists():
        return path if path.is_dir() else path.parent
    plain = []
    for part in path.parts:
        if _is_pattern(part):
            break
        plain.append(part)
    return Path(*plain)


def find_recordings(target: str, begins_at: BeginsAt) -> Iterator[Recording | LeftOut]:
    """Yield what lies below a folder, is named, or matches a pattern, folder by folder, in order of time.

    Raises EdgeaudioError if there is no such folder.
    """
    root = root_of(target)
    try:
        os.stat(root)  # noqa: PTH116 (its error names the path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no possible name"
        raise EdgeaudioError(f"{root}: cannot be looked into: {reason}; name a folder of recordings") from None
    if Path(target).is_dir():
        yield from _below(root, "", begins_at, frozenset())
    elif Path(target).exists():
        yield from _in_order([_entry(root, Path(target).name, begins_at)])
    else:
        pattern = str(Path(target).relative_to(root))
        folders: dict[str, list[str]] = {}
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                folders.setdefault(path.parent.relative_to(root).as_posix(), []).append(path.name)
        for folder, names in folders.items():
            prefix = "" if folder == "." else f"{folder}/"
            yield from _in_order([_entry(root, prefix + name, begins_at) for name in names])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _is_pattern(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _below(
    root: Path, folder: str, begins_at: BeginsAt, above: frozenset[tuple[int, int]]
) -> Iterator[Recording | LeftOut]:
    """Yield the recordings of a folder, then those of the folders in it. `above`: those that lead here, against loops."""
    try:
        status = (root / folder).stat()
        with os.scandir(root / folder) as entries:
            names, folders = [], []
            for entry in entries:
                if entry.name.startswith("."):
                    continue  # of the system: macOS's ._NAME.wav is none
                if entry.is_dir():
                    folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 (100,000 Paths take seconds)
                    names.append(entry.name)
    except OSError as error:
        yield LeftOut(folder or str(root), f"cannot be looked into: {error.strerror}")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    prefix = f"{folder}/" if folder else ""
    yield from _in_order([_entry(root, prefix + name, begins_at) for name in sorted(names)])
    del names
    for name in sorted(folders):
        yield from _below(root, prefix + name, begins_at, above | {identity})


def _entry(root: Path, name: str, begins_at: BeginsAt) -> Recording | LeftOut:
    path = root / name
    try:
        status = path.stat()
        begins = begins_at(name, path)
    except OSError as error:
        return LeftOut(name, f"cannot be read: {error.strerror}")
    except EdgeaudioError as error:
        return LeftOut(name, str(error))
    length = length_of(path, status.st_size)
    return Recording(name, str(path), status.st_size, status.st_mtime_ns, begins, length)


def _in_order(entries: list[Recording | LeftOut]) -> Iterator[Recording | LeftOut]:
    """Yield what cannot be listened to, then recordings in order of time."""
    yield from (each for each in entries if isinstance(each, LeftOut))
    yield from sorted(
        (each for each in entries if isinstance(each, Recording)), key=lambda each: (each.begins_at, each.path)
    )
