"""Files that an export makes: whole or not there, and in place of no other unless that was asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgeaudio.errors import EdgeaudioError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class ExportError(EdgeaudioError):
    """A file cannot be written; another may be."""


class ThereError(ExportError):
    """A file of that name is there already."""


class FullError(ExportError):
    """No other file can be written either."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise ExportError for an OSError of the block, which writes to that file."""
    try:
        yield
    except OSError as error:
        kind = FullError if error.errno in _FULL else ExportError
        raise kind(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a file that gets its name at the end of the block; folders are made. Raises ExportError."""
    if not overwrite and os.path.lexists(path):
        raise ThereError(f"{path}: is there already, and is left as it is; --overwrite replaces it")
    if path.is_dir():
        raise ExportError(f"{path}: is a folder, where a file is to be written")
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of an export that was killed
        try:
            with part.open("xb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
