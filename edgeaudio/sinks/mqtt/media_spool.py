"""Files that wait to be sent, in order: bounded by their number, bytes and age. Pure.

Owns: the bounds, and what has to give way. Does not know: files' contents, connections; times are monotonic seconds,
handed in.

A file stays where it is and is read when its turn comes: what waits takes no memory.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.sinks.mqtt.media_messages import MediaKind
from edgeaudio.types import ClipReady

MAX_FILES = 1000
MAX_BYTES = 32_000_000
MAX_AGE_S = 3600.0  # what is older has had its time; it stays on the disk as long as clips do
MAX_TRIES = 3  # connections that end while a file is being sent


@dataclass(slots=True)
class WaitingFile:
    """One file of a clip."""

    clip: ClipReady
    kind: MediaKind
    file: Path
    bytes: int
    added_s: float
    tries: int = 0


class MediaSpool:
    """Files in the order in which they are sent."""

    def __init__(self) -> None:
        self._files: deque[WaitingFile] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._files)

    @property
    def first(self) -> WaitingFile | None:
        """The file that is sent next, or is being sent."""
        return self._files[0] if self._files else None

    def put(self, waiting: WaitingFile) -> int:
        """Add a file; return how many had to give way to it, the oldest first."""
        self._files.append(waiting)
        self._bytes += waiting.bytes
        given_way = 0
        while len(self._files) > MAX_FILES or self._bytes > MAX_BYTES:
            self.remove_first()
            given_way += 1
        return given_way

    def expire(self, now_s: float) -> int:
        """Remove what is too old; return how many were."""
        expired = 0
        while self._files and now_s - self._files[0].added_s > MAX_AGE_S:
            self.remove_first()
            expired += 1
        return expired

    def remove_first(self) -> None:
        """Remove the first file, which was sent or cannot be."""
        self._bytes -= self._files.popleft().bytes
