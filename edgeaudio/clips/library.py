"""The folder with the clips: listed, found by id, marked.

Owns: which records of the folder are taken for clips, in which order they are shown, and the lock under which a clip is
changed or removed. Does not know: how clips are made, when they are removed, what is shown of them.

A clip is a record and the files that it names; a record lies under the same name as its sound, so that no record,
copied or made up, can name the files of another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgeaudio.clips.record import MAX_BYTES, SUFFIX, ClipRecord, ClipRecordError, read_record
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular, replace_file

MAX_SCANNED = 100_000  # records that are read at once
LOCK_TIMEOUT_S = 5.0
_LOCK_TRY_S = 0.02
_HINTS: dict[type[OSError], str] = {
    FileNotFoundError: "; the agent makes it where clips.enabled is true",
    PermissionError: "; only the agent's user can read it",
}


class ClipLibraryError(EdgeaudioError):
    """The folder cannot be read, a clip is not in it, or cannot be changed."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip in the folder."""

    file: Path  # of the record
    record: ClipRecord

    @property
    def sound(self) -> Path:
        """File with the sound."""
        return self.file.with_name(self.record.sound.file)

    @property
    def picture(self) -> Path | None:
        """File with the spectrogram, if there is one."""
        return None if self.record.picture is None else self.file.with_name(self.record.picture)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the clip, the record last: while it is there, the others can be found."""
        return (*(self.file.with_name(name) for name in self.record.files), self.file)


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A record in the folder that is none, or whose sound is missing."""

    file: Path
    why: str  # one line


class ClipLibrary:
    """Clips in one folder. Holds nothing in memory: other processes write to the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def scan(self) -> Iterator[Clip | BrokenRecord]:
        """Yield what the folder has, in no order, one record in memory at a time. Raises ClipLibraryError.

        Sounds are not looked for. Other files, folders and symbolic links are passed over.
        """
        scanned = 0
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
                        continue
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    scanned += 1
                    if scanned > MAX_SCANNED:
                        raise ClipLibraryError(
                            f"{self.folder} has more than {MAX_SCANNED} records; move some elsewhere"
                        )
                    found = self._read(Path(entry.path))
                    if found is not None:
                        yield found
        except OSError as error:
            hint = _HINTS.get(type(error), "")
            raise ClipLibraryError(
                f"the clips in {self.folder} cannot be read: {error.strerror or error}{hint}"
            ) from None

    def in_order(self, wanted: Callable[[ClipRecord], bool], *, newest_first: bool) -> Iterator[Clip | BrokenRecord]:
        """Yield all clips that are wanted, by onset, after all that is broken. Raises ClipLibraryError.

        Times and names alone are in memory: a record is read again when its turn comes.
        """
        order: list[tuple[datetime, str]] = []
        for each in self.scan():
            if isinstance(each, BrokenRecord):
                yield each
            elif wanted(each.record):
                order.append((each.record.onset, each.file.name))
        order.sort(reverse=newest_first)
        for _, name in order:
            found = self._read(self.folder / name)
            if found is not None:  # it was removed meanwhile
                yield _with_sound(found)

    def find(self, beginning: str) -> Clip:
        """Return the clip with that id, or the only one whose id begins so. Raises ClipLibraryError."""
        found = self.find_each([beginning])[beginning]
        if isinstance(found, ClipLibraryError):
            raise found
        return found

    def find_each(self, beginnings: Collection[str]) -> dict[str, Clip | ClipLibraryError]:
        """Return for each what `find` returns or raises; the folder is read once. Raises ClipLibraryError."""
        found: dict[str, dict[str, Clip]] = {beginning: {} for beginning in beginnings if beginning}
        for each in self.scan():
            if isinstance(each, Clip):
                for beginning, clips in found.items():
                    if each.record.id.startswith(beginning) and (len(clips) < 2 or each.record.id == beginning):
                        clips.setdefault(each.record.id, each)
        return {beginning: self._only(beginning, found.get(beginning, {})) for beginning in beginnings}

    def _only(self, beginning: str, clips: dict[str, Clip]) -> Clip | ClipLibraryError:
        """Return the one that is meant of those whose ids begin so, or what is wrong."""
        if not beginning:
            return ClipLibraryError("the clip's id is empty; `edgeaudio clips list` shows them")
        if not clips:
            return ClipLibraryError(
                f"no clip in {self.folder} has the id {beginning!r}; `edgeaudio clips list` shows them"
            )
        if beginning not in clips and len(clips) > 1:
            first, second, *_ = sorted(clips)
            return ClipLibraryError(f"{beginning!r} begins the ids of several clips, such as {first} and {second}")
        clip = _with_sound(clips.get(beginning) or next(iter(clips.values())))
        return ClipLibraryError(f"{clip.file}: {clip.why}") if isinstance(clip, BrokenRecord) else clip

    def mark_keep(self, clip: Clip, *, keep: bool) -> Clip:
        """Have retention leave a clip, or not any longer. Return it as it is now. Raises ClipLibraryError."""
        try:
            with self.locked():
                now = self._read(clip.file)
                if not isinstance(now, Clip) or now.record.id != clip.record.id:
                    raise ClipLibraryError(f"the clip {clip.record.id} is no longer in {self.folder}")
                review = now.record.review.model_copy(update={"keep": keep})
                changed = Clip(now.file, now.record.model_copy(update={"review": review}))
                if changed != now:
                    replace_file(now.file, changed.record.to_json())
                return changed
        except OSError as error:
            raise ClipLibraryError(f"the clip {clip.record.id} cannot be changed: {error.strerror or error}") from None

    def remove_unless_kept(self, file: Path, event_id: str) -> bool:
        """Remove the clip of a record with all its files; return False if it was marked or changed. Raises OSError."""
        with self.locked():
            now = self._read(file)
            if not isinstance(now, Clip) or now.record.id != event_id or now.record.review.keep:
                return False
            for each in now.files:
                each.unlink(missing_ok=True)
            return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing clips. Raises OSError after LOCK_TIMEOUT_S."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline_s = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline_s:
                        raise OSError(errno.EAGAIN, "another process changes the clips", str(self.folder)) from None
                    time.sleep(_LOCK_TRY_S)
                except OSError:  # a file system without locks on folders, such as NFS
                    break
            yield
        finally:
            os.close(descriptor)

    def _read(self, file: Path) -> Clip | BrokenRecord | None:
        """Return what a file is; None if it has been removed meanwhile."""
        try:
            record = read_record(read_regular(file, MAX_BYTES + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            return BrokenRecord(file, f"it cannot be read: {error.strerror or error}")
        except ClipRecordError as error:
            return BrokenRecord(file, str(error))
        if any(Path(name).stem != file.stem for name in record.files):
            return BrokenRecord(file, "the files that it names are not called as it is")
        return Clip(file, record)


def _with_sound(found: Clip | BrokenRecord) -> Clip | BrokenRecord:
    if isinstance(found, Clip):
        with suppress(OSError):
            if found.sound.is_file():
                return found
        return BrokenRecord(found.file, f"its sound {found.record.sound.file} is missing")
    return found
