"""What is no regular file (a named pipe, a terminal, another device), read so that each wait has an end.

Owns: opening such a path without waiting for its other end, and waiting for its bytes.
Does not know: what the bytes are, or how long the wait may be (its Deadline does).

FFmpeg waits for a pipe's writer inside open(), and for bytes inside read(), where nothing can interrupt it.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from pathlib import Path

from edgeaudio.capture.deadline import Deadline

# without a byte; a program that computes what it writes takes its time
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
    """What stands at `path` where that is no regular file: "named pipe", "socket", ...; None: a file, or nothing."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except OSError:
        return None


class Pipe:
    """A file object for PyAV, which cannot seek. Raises OSError where `path` cannot be opened.

    `read` raises TimeoutError once the deadline's limit is reached or a stop is asked.
    """

    def __init__(self, path: Path, deadline: Deadline) -> None:
        self.name = str(path)  # FFmpeg looks at its ending
        self._deadline = deadline
        # without O_NONBLOCK this would wait for a writer; O_NOCTTY: a terminal must not become this process's own
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self.received = 0  # bytes

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end."""
        while not self._deadline.must_end():
            if not self._poll.poll(_POLL_MS):
                continue
            with contextlib.suppress(BlockingIOError):  # another who reads the same pipe was quicker
                data = os.read(self._descriptor, size)
                self.received += len(data)
                return data
        raise TimeoutError

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
