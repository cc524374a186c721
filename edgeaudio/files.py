"""Files that users name, read without a wait: a pipe may have no writer, a device nothing to say.

Owns: opening so that nothing is waited for, and the refusal of what is no regular file.
Does not know: what is read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_PIECE_BYTES = 1 << 20  # memory is taken for a whole piece, however small the file


def open_at_once(path: Path) -> int:
    """A descriptor to read from, as `os.open` gives it. Raises OSError."""
    # without O_NONBLOCK the opening of a pipe would wait for a writer; O_NOCTTY: a terminal must not become our own
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The first bytes of a file. Raises OSError, also for what is no regular file."""
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
