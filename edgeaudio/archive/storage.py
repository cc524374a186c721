"""Where results are kept: a folder, in which a file is there whole or not at all.

Owns: listing, reading, and writing under a temporary name. Does not know: what is in the files, which of them belong
together.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from uuid import uuid4

from edgeaudio.files import sync_folder

STALE_S = 24 * 3600.0  # after which a temporary file is one of a process that was killed
_TEMPORARY = ".new"


class Stored(NamedTuple):
    """A file below a folder or prefix."""

    name: str  # below it, with slashes
    size_bytes: int
    changed_ns: int


class Storage(Protocol):
    """Files below one folder or prefix; names are relative to it, with slashes. All methods raise OSError."""

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of all files below a folder, in no order; none if it is missing."""

    def stored(self, folder: str) -> Iterator[Stored]:
        """Yield what `names` does, with sizes and times of change."""

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    def open(self, name: str) -> BinaryIO:
        """Return a file to read and to seek in; close it."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which then is there whole, in place of one of that name."""

    def put(self, name: str, file: Path) -> None:
        """Move a local file to a name, as `write` does."""

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is none to remove."""

    def make(self) -> None:
        """Make the folder, if it is missing: nothing else does, so that one that was removed is an error."""

    def scratch(self) -> Path | None:
        """Return a local folder for a file that is then `put`; None: the system's own."""


class LocalFolder:
    """A folder of this machine, or of a network file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, folder: str) -> Iterator[str]:
        yield from self._below(self._folder / folder, folder)

    def stored(self, folder: str) -> Iterator[Stored]:
        for name in self.names(folder):
            with suppress(FileNotFoundError):  # gone meanwhile
                status = os.stat(f"{self._folder}/{name}")  # noqa: PTH116 (100,000 Paths take seconds)
                yield Stored(name, status.st_size, status.st_mtime_ns)

    def _below(self, path: Path, name: str) -> Iterator[str]:
        try:
            entries = os.scandir(path)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                inner = f"{name}/{entry.name}" if name else entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(path / entry.name, inner)
                elif entry.is_file(follow_symlinks=False) or os.path.isfile(entry):  # noqa: PTH113 (it never raises)
                    yield inner  # no pipe, which would be waited for

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def write(self, name: str, content: bytes) -> None:
        with _temporary(self.scratch()) as file:
            file.write_bytes(content)
            self.put(name, file)

    def put(self, name: str, file: Path) -> None:
        target = self._folder / name
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                file.replace(target)
                break
            except FileNotFoundError:
                if not file.exists():
                    raise
                # else `compact` has removed the folder, which it found empty
        with suppress(FileNotFoundError):  # and has the file in its month already
            sync_folder(target.parent)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def scratch(self) -> Path:
        folder = self._folder / _TEMPORARY
        folder.mkdir(exist_ok=True)
        return folder


def storage_at(address: str) -> Storage:
    """Return the storage at a folder's path, or at s3://BUCKET/PREFIX. Raises EdgeaudioError for another address."""
    if is_local(address):
        return LocalFolder(Path(address))
    from edgeaudio.archive.storage_s3 import Bucket  # noqa: PLC0415 (Arrow's S3 takes memory, and few have it)

    return Bucket(address)


def remedy(error: OSError) -> str:
    """Return what to do about results that cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room, then run again"
    return "mend that, then run again"


def is_local(address: str) -> bool:
    """True for a path of this machine."""
    return "://" not in address


@contextmanager
def new_file(storage: Storage, name: str) -> Iterator[BinaryIO]:
    """Yield a file to write; it gets its name when the block ends, and is removed if that raises. Raises OSError."""
    with _temporary(storage.scratch()) as file:
        with file.open("wb") as stream:
            yield stream
        storage.put(name, file)


def remove_stale(storage: Storage) -> None:
    """Remove what processes that were killed had begun to write, STALE_S ago or longer. Raises OSError."""
    scratch = storage.scratch()
    if scratch is None:
        return
    for file in scratch.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > STALE_S:
                file.unlink()


@contextmanager
def _temporary(folder: Path | None) -> Iterator[Path]:
    """Yield the path of a file that is not there yet, and of none afterwards, unless it was moved."""
    if folder is None:
        import tempfile  # noqa: PLC0415 (only where results are kept elsewhere)

        folder = Path(tempfile.gettempdir())
    file = folder / f"{uuid4().hex}.edgeaudio"
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
