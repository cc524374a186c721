"""Pipes, terminals and other devices, opened and read with a time limit.

FFmpeg would wait for a pipe's writer in open(), and for bytes in read(), where nothing can interrupt it.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from pathlib import Path

from edgeaudio.capture.deadline import Deadline

# without a byte; a program that computes what it writes may be slow
STALL_S = 30.0
_POLL_MS = 100
_KINDS = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "terminal or other device",
    stat.S_IFBLK: "disk",
    stat.S_IFSOCK: "socket",
    stat.S_IFDIR: "directory",
}


def kind_of(path: Path) -> str | None:
    """Return what `path` is if it is no regular file: "named pipe", "socket", ...; None: a file, or nothing."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except OSError:
        return None


class Pipe:
    """File object for PyAV that cannot seek. The constructor raises OSError if `path` cannot be opened.

    `read` raises TimeoutError once the deadline has expired or the stop event is set.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self.name = str(path)  # FFmpeg looks at its ending
        self._deadline = deadline
        # O_NONBLOCK: do not wait for a writer; O_NOCTTY: a terminal must not become the controlling one
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self.received = 0  # bytes

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end."""
        while not self._deadline.must_end():
            if not self._poll.poll(_POLL_MS):
                continue
            with contextlib.suppress(BlockingIOError):  # another reader of the pipe was faster
                data = os.read(self._descriptor, size)
                self.received += len(data)
                return data
        raise TimeoutError

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
