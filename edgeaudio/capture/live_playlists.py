"""Live playlists of one connection, reduced so that FFmpeg reads each segment once.

Owns: where a connection begins in a playlist, staleness, and playlists that their server restarted.
Does not know: HTTP, FFmpeg, files.

FFmpeg begins with the last three segments of a playlist each time it opens one, and requests it until it has a new
segment. So a connection is shown only the segments after those that were heard, under the server's own numbers.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace

from edgeaudio.capture.heard_segments import HeardSegments, SegmentKey
from edgeaudio.capture.playlist import MediaPlaylist, Segment

FIRST_SEGMENTS = 3  # of a playlist without heard segments; FFmpeg's own choice
CATCH_UP_S = 30.0  # of segments missed between connections, at most
STALE_TARGETS = 3  # target durations without a new segment
MIN_STALE_S = 20.0
MAX_STALE_S = 120.0
SLACK_S = 10.0  # until FFmpeg has requested the playlist again
_KEPT_BEHIND = 3  # segments that were begun and are still shown
_MAX_TRACKED = 200  # addresses of segments of one playlist


class StaleError(Exception):
    """The playlist is no longer updated; the message says for how long."""


class BegunAnewError(Exception):
    """The server restarted its playlist: what FFmpeg knows of it is no longer true."""


class EndOfPlaylistError(Exception):
    """The stream has ended, and all of it was heard."""


@dataclass(slots=True)
class _State:
    floor: int  # number of the first segment that is shown
    seen: dict[int, SegmentKey]  # of the last list, by number
    newest: int
    shown: MediaPlaylist
    begun: int | None = None  # number of the last segment that was asked for
    addresses: dict[tuple[str, int], SegmentKey] = field(default_factory=dict)


class LivePlaylists:
    """The live playlists of one connection. May be used from any thread."""

    def __init__(self, heard: HeardSegments) -> None:
        self._heard = heard
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}
        self.began_s: float | None = None  # monotonic; the first sound shown was made then or before
        self.stall_timeout_s = 0.0  # until a playlist without updates is known to be stale

    def show(self, name: str, playlist: MediaPlaylist) -> MediaPlaylist | None:
        """Return the part of `playlist` for FFmpeg; None: nothing new, ask the server again.

        Raises StaleError, BegunAnewError, EndOfPlaylistError.
        """
        with self._lock:
            state = self._states.get(name)
            if state is None:
                return self._begin_with(name, playlist)
            if not playlist.numbered:
                playlist.segments = _numbered(playlist.segments, state.seen)
            self._go_on(state, playlist, [SegmentKey.of(segment) for segment in playlist.segments])
            # segments that FFmpeg has not requested yet are still to be heard
            if state.begun == state.shown.segments[-1].number:
                self._require_fresh(name, playlist, state.newest)
            else:
                self._heard.see(name, state.newest)
            return state.shown

    def _begin_with(self, name: str, playlist: MediaPlaylist) -> MediaPlaylist | None:
        marks = [SegmentKey.of(segment) for segment in playlist.segments]
        known = self._heard.recall(name, marks)
        if not playlist.is_live and not known:
            return playlist  # a recording
        if not playlist.numbered:
            playlist.segments = _numbered(playlist.segments, known)
            marks = [SegmentKey.of(segment) for segment in playlist.segments]
        self.stall_timeout_s = max(self.stall_timeout_s, stale_after_s(playlist) + SLACK_S)
        first = _first_new(playlist.segments, marks, known)
        if first < len(marks):
            shown = replace(playlist, segments=playlist.segments[first:])
            length_s = sum(segment.duration_s for segment in shown.segments)
            self.began_s = min(self.began_s or float("inf"), time.monotonic() - length_s)
            self._states[name] = _State(marks[first].number, _by_number(marks), marks[-1].number, shown)
            self._heard.see(name, marks[-1].number, anew=True)
            return shown
        if not playlist.is_live:
            raise EndOfPlaylistError
        self._require_fresh(name, playlist, marks[-1].number if marks else None)
        return None

    def _require_fresh(self, name: str, playlist: MediaPlaylist, newest: int | None) -> None:
        quiet_s = self._heard.see(name, newest)
        if playlist.is_live and quiet_s >= stale_after_s(playlist):
            raise StaleError(f"the playlist has had no new segment for {quiet_s:.0f} s")

    def track(self, name: str, address: tuple[str, int], segment: Segment) -> None:
        """Note the address and offset by which FFmpeg will request the segment."""
        with self._lock:
            if (state := self._states.get(name)) is not None:
                if len(state.addresses) >= _MAX_TRACKED:
                    del state.addresses[next(iter(state.addresses))]
                state.addresses[address] = SegmentKey.of(segment)

    def begin(self, address: tuple[str, int]) -> None:
        """Note that the body at that address and offset is passed on; it may be a segment."""
        with self._lock:
            for name, state in self._states.items():
                if (mark := state.addresses.get(address)) is not None:
                    state.begun = max(mark.number, state.begun or mark.number)
                    self._heard.begin(name, mark)

    def _go_on(self, state: _State, playlist: MediaPlaylist, marks: list[SegmentKey]) -> None:
        if not playlist.is_live:
            state.shown = replace(state.shown, ended=True)
        if not marks:
            return  # FFmpeg is shown the last list again
        if playlist.has_sample_aes != state.shown.has_sample_aes:
            raise BegunAnewError  # FFmpeg crashes on a playlist whose encryption changes to SAMPLE-AES
        overlap = [(mark, state.seen[mark.number]) for mark in marks if mark.number in state.seen]
        # by dates only: some servers rename their segments in each list
        is_other = overlap and all(mark.is_dated_apart(seen) for mark, seen in overlap)
        if is_other or _is_far_back(marks, state.newest):
            raise BegunAnewError
        if marks[-1].number < state.newest:
            return  # an older list than the last, of a server behind the others
        state.seen, state.newest = _by_number(marks), marks[-1].number
        if state.begun is not None:
            state.floor = max(state.floor, state.begun - _KEPT_BEHIND)
        segments = [segment for segment in playlist.segments if segment.number >= state.floor]
        if segments:
            state.shown = replace(playlist, segments=segments)


def stale_after_s(playlist: MediaPlaylist) -> float:
    """Seconds without a new segment after which the playlist counts as stale."""
    longest_s = max((segment.duration_s for segment in playlist.segments), default=0.0)
    wanted_s = STALE_TARGETS * max(playlist.target_duration_s, longest_s)
    return min(max(wanted_s, MIN_STALE_S), MAX_STALE_S)


def _by_number(marks: list[SegmentKey]) -> dict[int, SegmentKey]:
    return {mark.number: mark for mark in marks[-_MAX_TRACKED:]}


def _is_far_back(marks: list[SegmentKey], newest: int) -> bool:
    """True if a list is further back than one of a server behind the others can be."""
    return marks[-1].number < newest - len(marks)


def _first_new(segments: list[Segment], marks: list[SegmentKey], known: dict[int, SegmentKey]) -> int:
    """Return the index of the first segment to hear; the number of segments if all were heard."""
    last_three = max(0, len(segments) - FIRST_SEGMENTS)
    if not marks or not known:
        return last_three
    newest = max(known)
    matched = [index for index, mark in enumerate(marks) if mark.is_same(known.get(mark.number))]
    if matched and not _is_far_back(marks, newest):
        first = matched[-1] + 1
    elif marks[0].number > newest:
        first = 0
    else:
        return last_three  # the server restarted the playlist
    recent, length_s = len(segments), 0.0
    while recent > first and (length_s + segments[recent - 1].duration_s <= CATCH_UP_S or recent > last_three):
        recent -= 1
        length_s += segments[recent].duration_s
    return recent


def _numbered(segments: list[Segment], known: dict[int, SegmentKey]) -> list[Segment]:
    """Number the segments of a playlist without a media sequence number, continuing from the known ones."""
    by_name = {mark.name: number for number, mark in known.items()}
    start = max(known) + 1 if known else 0
    for index, segment in enumerate(segments):
        if (number := by_name.get(SegmentKey.of(segment).name)) is not None:
            start = number - index
            break
    return [replace(segment, number=start + index) for index, segment in enumerate(segments)]
