"""Who watches or listens to which source live, and what waits for each of them.

Owns: the bound on what waits. Does not know: MQTT (live_feed.py), WebSockets (web/live_socket.py). Safe for any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, TypeAlias

from edgeaudio.dashboard.columns import Columns
from edgeaudio.dashboard.sound import Sound
from edgeaudio.wire.payloads import Scores

MAX_QUEUED: Final = 100  # messages for a browser that is slow, 15 s; the oldest are dropped

Live: TypeAlias = Columns | Scores | Sound


class Watched(NamedTuple):
    """What somebody wants of a source."""

    device: str
    source: str
    part: Literal["picture", "sound"] = "picture"  # columns and scores, or what can be heard


class Viewer:
    """One page that watches or listens to one source."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._queue: deque[Live] = deque(maxlen=MAX_QUEUED)

    def put(self, value: Live) -> None:
        self._queue.append(value)

    def take(self) -> list[Live]:
        """Return what has come since the last call."""
        return [self._queue.popleft() for _ in range(len(self._queue))]


class Viewers:
    """All of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._viewers: dict[Watched, list[Viewer]] = {}
        self._troubles: dict[Watched, str] = {}
        self.is_anybody = threading.Event()

    @contextmanager
    def watching(self, watched: Watched) -> Iterator[Viewer]:
        """Yield a viewer, which is one as long as this context."""
        viewer = Viewer(watched)
        with self._lock:
            self._viewers.setdefault(watched, []).append(viewer)
            self.is_anybody.set()
        try:
            yield viewer
        finally:
            with self._lock:
                self._viewers[watched].remove(viewer)
                if not self._viewers[watched]:
                    del self._viewers[watched]
                    self._troubles.pop(watched, None)
                if not self._viewers:
                    self.is_anybody.clear()

    def watched(self) -> list[Watched]:
        """Return what is watched."""
        with self._lock:
            return list(self._viewers)

    def hand_out(self, value: Live) -> None:
        watched = Watched(value.device, value.source, "sound" if isinstance(value, Sound) else "picture")
        with self._lock:
            for viewer in self._viewers.get(watched, ()):
                viewer.put(value)

    def trouble(self, watched: Watched) -> str:
        """Why nothing comes, in words; empty: nothing is known to be wrong."""
        with self._lock:
            return self._troubles.get(watched, "")

    def report(self, watched: Watched, trouble: str) -> None:
        """Note why nothing comes; empty: it does."""
        with self._lock:
            if watched in self._viewers:
                self._troubles[watched] = trouble
