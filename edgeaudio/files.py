"""Files that users name: read without blocking, for a pipe may have no writer, and replaced atomically.

Owns: opening without a wait, the refusal of anything but a regular file, the replacement, and having names on the disk.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_PIECE_BYTES = 1 << 20  # `os.read` allocates a whole piece, however small the file


def open_at_once(path: Path) -> int:
    """Return a descriptor for reading, as `os.open` does, without blocking. Raises OSError."""
    # without O_NONBLOCK, opening a pipe waits for a writer; without O_NOCTTY, a terminal could become the controlling
    # terminal
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return the first bytes of a regular file. Raises OSError, also for anything else."""
    descriptor = open_at_once(path)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = bytearray()
        while len(content) < most_bytes and (
            piece := os.read(descriptor, min(_PIECE_BYTES, most_bytes - len(content)))
        ):
            content += piece
        return bytes(content)
    finally:
        os.close(descriptor)


def replace_file(file: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Put a content in place of a file, whole, with that mode, else the file's; the owner stays. Raises OSError.

    Text is written as UTF-8.
    """
    file = file.resolve()
    new = file.with_name(f".{file.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            with suppress(FileNotFoundError, PermissionError):
                os.fchown(descriptor, file.stat().st_uid, file.stat().st_gid)
            os.fchmod(descriptor, stat.S_IMODE(file.stat().st_mode) if mode is None else mode)
            os.fsync(descriptor)
        new.replace(file)
    except BaseException:  # interrupted, for one
        new.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> bool:
    """Have the disk hold the names in a folder; return False where its file system cannot. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
