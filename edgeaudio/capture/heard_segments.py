"""Segments of live playlists that a source has heard, over connections and restarts.

Owns: the keys that identify a segment, and the file in the runtime directory that stores them.
Does not know: HTTP, the content of segments, when a playlist is stale.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.playlist import Segment

_log = logging.getLogger(__name__)

_MAX_LISTS = 64
_MAX_MARKS = 64  # of one playlist, which holds a few segments
# programme date-times are sums of rounded durations
_PROGRAMME_TOLERANCE_S = 0.5
# some servers date segments by the time of the request
_NAMED_TOLERANCE_S = 60.0
_SESSION = re.compile(r"_w\d+(?=[_.])")


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """Identity of a segment: its number, and its name or its programme date-time."""

    number: int
    name: str  # a digest: names may hold secrets
    programme_s: float | None

    @classmethod
    def of(cls, segment: Segment) -> SegmentKey:
        """Return the key of a segment, without what changes with each session: host, folder, query, Wowza's number."""
        path = segment.uri.partition("?")[0].partition("#")[0].rpartition("/")[2]
        name = _SESSION.sub("", path)
        return cls(segment.number, digest(f"{name} {segment.byte_range}"), segment.programme_s)

    def is_same(self, other: SegmentKey | None) -> bool:
        """True if both identify one segment, as far as is known."""
        if other is None or self.number != other.number:
            return False
        if self.programme_s is None or other.programme_s is None:
            return self.name == other.name
        tolerance_s = _NAMED_TOLERANCE_S if self.name == other.name else _PROGRAMME_TOLERANCE_S
        return abs(self.programme_s - other.programme_s) <= tolerance_s

    def is_dated_apart(self, other: SegmentKey) -> bool:
        """True if the known programme date-times of both show two segments."""
        return self.programme_s is not None and other.programme_s is not None and not self.is_same(other)


@dataclass(slots=True)
class _List:
    marks: dict[int, SegmentKey]  # heard, by number, oldest first
    newest: int | None = None  # number of the newest segment that the playlist had
    new_s: float = 0.0  # when it appeared; monotonic, which continues over restarts of the process

    def take_over(self, other: _List) -> None:
        """Copy what another name of the same playlist has."""
        self.marks, self.newest, self.new_s = dict(other.marks), other.newest, other.new_s


def digest(text: str) -> str:
    """Return a short name for a text that may be secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class HeardSegments:
    """Heard segments of one source. `path`: a file that stores them; it is written when a segment begins.

    May be used from any thread. A segment counts as heard once it has begun and the connection has brought sound.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lists: dict[str, _List] = {}
        self._begun: list[tuple[str, SegmentKey]] = []  # by a connection without sound so far
        self._sounds = False
        if path is not None:
            self._lists = _load(path)

    def recall(self, playlist: str, marks: list[SegmentKey]) -> dict[int, SegmentKey]:
        """Return what was heard of the playlist, by number, oldest first; `marks` are its present segments.

        A playlist that had another name before is recognised by its segments.
        """
        with self._lock:
            if playlist not in self._lists and (known := self._alike(marks)) is not None:
                self._list(playlist).take_over(known)
            found = self._lists.get(playlist)
            return dict(found.marks) if found else {}

    def _alike(self, marks: list[SegmentKey]) -> _List | None:
        def alike(known: _List) -> int:
            return sum(mark.is_same(known.marks.get(mark.number)) for mark in marks)

        best = max(self._lists.values(), key=alike, default=None)
        return best if best is not None and alike(best) > 0 else None

    def see(self, playlist: str, newest: int | None, *, anew: bool = False) -> float:
        """Note the number of the playlist's newest segment; return for how many seconds it has been the newest.

        `anew`: count from now, whatever was seen before.
        """
        with self._lock:
            known = self._list(playlist)
            now_s = time.monotonic()
            if newest is not None and (anew or known.newest is None or newest > known.newest):
                known.newest, known.new_s = newest, now_s
            return now_s - known.new_s

    def begin(self, playlist: str, mark: SegmentKey) -> None:
        """Note that the segment is passed on."""
        with self._lock:
            self._begun.append((playlist, mark))
            if self._sounds:
                self._keep()

    def sound(self) -> None:
        """Note that the present connection brings sound."""
        with self._lock:
            if not self._sounds:
                self._sounds = True
                self._keep()

    def end(self) -> None:
        """Note the end of the connection: segments that began and brought no sound were not heard."""
        with self._lock:
            self._begun = []
            self._sounds = False

    def _list(self, playlist: str) -> _List:
        known = self._lists.pop(playlist, None)
        if known is None:
            known = _List({}, None, time.monotonic())
            if len(self._lists) >= _MAX_LISTS:
                del self._lists[next(iter(self._lists))]
        self._lists[playlist] = known  # most recently used last
        return known

    def _keep(self) -> None:
        for playlist, mark in self._begun:
            marks = self._list(playlist).marks
            marks.pop(mark.number, None)
            if len(marks) >= _MAX_MARKS:
                del marks[next(iter(marks))]
            marks[mark.number] = mark
        self._begun = []
        if self._path is not None:
            _save(self._path, self._lists)


def heard_file(runtime_dir: Path | None, config: SourceConfig) -> Path | None:
    """Return the file of a source's heard segments, whose name holds no secret; None if they are not stored."""
    url = config.address
    if runtime_dir is None or not url.is_http:
        return None
    path = url.rest.partition("?")[0]
    return runtime_dir / f"heard-{digest(f'{config.name} {url.host} {url.port} {path}')}.json"


def _save(path: Path, lists: dict[str, _List]) -> None:
    content = {
        name: {
            "newest": known.newest,
            "new_s": round(known.new_s, 3),
            "marks": [[mark.number, mark.name, mark.programme_s] for mark in known.marks.values()],
        }
        for name, known in lists.items()
        if known.marks
    }
    written = path.with_suffix(".new")
    try:
        written.write_text(json.dumps(content, separators=(",", ":")))
        written.replace(path)
    except OSError as error:
        _log.debug("%s is not written: %s", path.name, os.strerror(error.errno or 0))


def _load(path: Path) -> dict[str, _List]:
    """Return the content of the file, up to any damage in it."""
    lists: dict[str, _List] = {}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        for name, known in json.loads(path.read_text()).items():
            marks = [SegmentKey(int(number), str(text), programme_s) for number, text, programme_s in known["marks"]]
            newest = None if known["newest"] is None else int(known["newest"])
            new_s = min(float(known["new_s"]), time.monotonic())
            lists[str(name)] = _List({mark.number: mark for mark in marks[-_MAX_MARKS:]}, newest, new_s)
            if len(lists) >= _MAX_LISTS:
                break
    return lists
