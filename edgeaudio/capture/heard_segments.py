"""Which segments of its live playlists a source has heard, over connections and restarts.

Owns: the marks by which a segment is known again, and the file in the runtime directory that keeps them.
Does not know: HTTP, what is in a segment, when a playlist counts as stale.
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
_MAX_MARKS = 64  # of one list; playlists hold a few segments, and what is further back is not heard again anyway
# programme date-times are added up from the durations of segments, which are rounded
_PROGRAMME_TOLERANCE_S = 0.5
# some servers date what they list by the time at which they are asked
_NAMED_TOLERANCE_S = 60.0
_SESSION = re.compile(r"_w\d+(?=[_.])")


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """What a segment is known by: its number, and its name or its programme date-time."""

    number: int
    name: str  # a digest: names may hold secrets
    programme_s: float | None

    @classmethod
    def of(cls, segment: Segment) -> SegmentKey:
        """The mark of a segment, without what changes with each session: host, folder, query, Wowza's number."""
        path = segment.uri.partition("?")[0].partition("#")[0].rpartition("/")[2]
        name = _SESSION.sub("", path)
        return cls(segment.number, digest(f"{name} {segment.byte_range}"), segment.programme_s)

    def is_same(self, other: SegmentKey | None) -> bool:
        """True if both are of one segment, as far as that can be told."""
        if other is None or self.number != other.number:
            return False
        if self.programme_s is None or other.programme_s is None:
            return self.name == other.name
        tolerance_s = _NAMED_TOLERANCE_S if self.name == other.name else _PROGRAMME_TOLERANCE_S
        return abs(self.programme_s - other.programme_s) <= tolerance_s

    def is_dated_apart(self, other: SegmentKey) -> bool:
        """True if the programme date-times of both are known, and say that they are two segments."""
        return self.programme_s is not None and other.programme_s is not None and not self.is_same(other)


@dataclass(slots=True)
class _List:
    marks: dict[int, SegmentKey]  # heard, by number, oldest first
    newest: int | None = None  # number of the newest segment that the playlist had
    new_s: float = 0.0  # when it had it; monotonic, which goes on over restarts of the process

    def take_over(self, other: _List) -> None:
        """Know what is known of another name of the same playlist."""
        self.marks, self.newest, self.new_s = dict(other.marks), other.newest, other.new_s


def digest(text: str) -> str:
    """A short name for a text that may be secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class HeardSegments:
    """The memory of one source. `path`: a file that keeps it over restarts; it is written when a segment begins.

    May be used from any thread. A segment counts as heard once it has begun and sound came of the connection.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lists: dict[str, _List] = {}
        self._begun: list[tuple[str, SegmentKey]] = []  # by a connection of which no sound came yet
        self._sounds = False
        if path is not None:
            self._lists = _load(path)

    def recall(self, playlist: str, marks: list[SegmentKey]) -> dict[int, SegmentKey]:
        """What was heard of the playlist, by number, oldest first; `marks` is what it has now.

        A playlist that came under another name before is known by its segments.
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
        """Note the number of the playlist's newest segment; returns for how many seconds that is the newest.

        `anew`: whatever was seen before, this one is new.
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
        """Note that sound comes of the present connection."""
        with self._lock:
            if not self._sounds:
                self._sounds = True
                self._keep()

    def end(self) -> None:
        """Note that the connection is over: what began and gave no sound was not heard."""
        with self._lock:
            self._begun = []
            self._sounds = False

    def _list(self, playlist: str) -> _List:
        known = self._lists.pop(playlist, None)
        if known is None:
            known = _List({}, None, time.monotonic())
            if len(self._lists) >= _MAX_LISTS:
                del self._lists[next(iter(self._lists))]
        self._lists[playlist] = known  # the last that was used comes last
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
    """Where what was heard of a source is kept; None where it is kept nowhere. Its name tells no secret."""
    url = config.address
    if runtime_dir is None or not url.is_http:
        return None
    path = url.rest.partition("?")[0]
    return runtime_dir / f"heard-{digest(f'{config.name} {url.host} {url.port} {path}')}.json"


def _save(path: Path, lists: dict[str, _List]) -> None:
    told = {
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
        written.write_text(json.dumps(told, separators=(",", ":")))
        written.replace(path)
    except OSError as error:
        _log.debug("%s is not written: %s", path.name, os.strerror(error.errno or 0))


def _load(path: Path) -> dict[str, _List]:
    """What the file keeps; what is damaged in it is as good as forgotten."""
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
