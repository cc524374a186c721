"""Strict parser of HLS playlists.

Owns: what a playlist may hold, and its limits.
Does not know: HTTP, hosts (a callable maps absolute addresses), which segments were heard.

FFmpeg's own parser holds any number of lists and segments in memory, and dereferences a NULL pointer where a media
playlist turns into a master playlist. So a playlist is parsed here, checked, and written again from its values
(playlist.py). What is not understood is left out, and so is what no listener needs: subtitles, video renditions,
trick-play lists, partial segments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from edgeaudio.capture.playlist import ByteRange, Key, MasterPlaylist, MediaPlaylist, Section, Segment

MAGIC = b"#EXTM3U"
MAX_BYTES = 8 << 20
# of FFmpeg's memory: it copies the addresses of list and key into every segment
MAX_COST_BYTES = 32 << 20
MAX_SEGMENTS = 50_000
MAX_LISTS = 64  # variants and renditions of a master playlist
MAX_URI_CHARS = 4000  # FFmpeg truncates longer ones
_SEGMENT_COST_BYTES = 200
_MAX_SEQUENCE = 1 << 61
_MAX_DURATION_S = 86400.0
_ATTRIBUTE = re.compile(r'([A-Z0-9-]{1,64})=("[^"]*"|[^",]*)')
_IV = re.compile(r"0[xX][0-9A-Fa-f]{1,32}")
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")
_NUMBER = re.compile(r"\d{1,19}")
_NO_CONTROLS = dict.fromkeys((*range(32), 127))

Lead = Callable[[str], str]  # from a URI as written to the one that FFmpeg is given


class PlaylistError(ValueError):
    """A playlist that is not passed on."""


class PlaylistTooLargeError(PlaylistError):
    """A playlist beyond a limit; the message names the limit."""


def parse_playlist(body: bytes, lead: Lead, address_chars: int) -> MediaPlaylist | MasterPlaylist:
    """Return the playlist in `body` with its addresses mapped by `lead`; `address_chars`: length of its own address.

    Raises PlaylistError, and PlaylistTooLargeError for a playlist beyond a limit.
    """
    return _Parser(lead, address_chars).parse(body)


class _Parser:
    def __init__(self, lead: Lead, address_chars: int) -> None:
        self._lead = lead
        self._address_chars = address_chars
        self._media = MediaPlaylist()
        self._variants: list[tuple[int, str, str]] = []
        self._renditions: list[tuple[str, str, str, str]] = []
        self._cost = 0
        # what the tags so far say of the next URI
        self._variant: tuple[int, str] | None = None
        self._duration_s: float | None = None
        self._range: tuple[int, int | None] | None = None
        self._next_offset = 0
        self._keys: list[Key | None] = []  # of consecutive tags; the first usable one applies
        self._locked = False  # one of them is of a kind that cannot be used
        self._key: Key | None = None
        self._section: Section | None = None
        self._number = 0
        self._programme_s: float | None = None
        self._tags: dict[str, Callable[[str], None]] = {
            "#EXTINF": self._extinf,
            "#EXT-X-BYTERANGE": self._segment_range,
            "#EXT-X-KEY": self._key_tag,
            "#EXT-X-MAP": self._map,
            "#EXT-X-PROGRAM-DATE-TIME": self._programme,
            "#EXT-X-DISCONTINUITY": self._discontinuity,
            "#EXT-X-TARGETDURATION": self._target_duration,
            "#EXT-X-MEDIA-SEQUENCE": self._sequence,
            "#EXT-X-PLAYLIST-TYPE": self._kind,
            "#EXT-X-ENDLIST": self._end,
            "#EXT-X-STREAM-INF": self._stream,
            "#EXT-X-MEDIA": self._rendition,
        }

    def parse(self, body: bytes) -> MediaPlaylist | MasterPlaylist:
        is_hls = False
        for line in _lines(body):
            if line.startswith("#"):
                is_hls = is_hls or line.startswith("#EXT-X-")
                self._tag(line)
            elif self._variant is not None:
                self._add_variant(line, *self._variant)
            elif self._duration_s is not None:
                self._add_segment(line, self._duration_s)
        if not is_hls:
            raise PlaylistError("it is a list of addresses, and no HLS playlist; give one of them")
        if self._variants:
            groups = {group for _, group, _ in self._variants}
            return MasterPlaylist(self._variants, [track for track in self._renditions if track[0] in groups])
        if self._media.target_duration_s == 0:
            longest_s = max((segment.duration_s for segment in self._media.segments), default=1.0)
            self._media.target_duration_s = max(1, math.ceil(longest_s))
        if self._media.has_sample_aes and not all(segment.is_sample_aes for segment in self._media.segments):
            raise PlaylistError("only a part of it is encrypted by SAMPLE-AES")  # on which FFmpeg crashes
        return self._media

    def _tag(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name != "#EXT-X-KEY" and self._keys:
            self._settle_keys()
        if (read := self._tags.get(name)) is not None:
            read(value)

    def _extinf(self, value: str) -> None:
        self._duration_s = _seconds(value.partition(",")[0])

    def _segment_range(self, value: str) -> None:
        self._range = _byte_range(value)

    def _programme(self, value: str) -> None:
        self._programme_s = _moment(value)

    def _discontinuity(self, _: str) -> None:
        self._programme_s = None  # the previous segment's says nothing of this one

    def _target_duration(self, value: str) -> None:
        self._media.target_duration_s = round(_seconds(value))

    def _kind(self, value: str) -> None:
        self._media.kind = value if value in {"EVENT", "VOD"} else ""

    def _end(self, _: str) -> None:
        self._media.ended = True

    def _settle_keys(self) -> None:
        self._key = next((key for key in self._keys if key is not None), None)
        if self._key is None and self._locked:
            raise PlaylistError("its segments are encrypted in a way that cannot be read")
        self._keys, self._locked = [], False

    def _sequence(self, value: str) -> None:
        # a list that has segments cannot be renumbered
        if self._media.segments or not _NUMBER.fullmatch(value.strip()):
            return
        self._number = int(value)
        if self._number > _MAX_SEQUENCE:
            raise PlaylistError("its media sequence number is too large")
        self._media.numbered = True

    def _key_tag(self, value: str) -> None:
        self._keys.append(self._key_of(_attributes(value)))

    def _key_of(self, given: dict[str, str]) -> Key | None:
        method, uri, iv = given.get("METHOD", ""), given.get("URI", ""), given.get("IV")
        if method not in {"AES-128", "SAMPLE-AES"} or not uri or given.get("KEYFORMAT", "identity") != "identity":
            self._locked = self._locked or method != "NONE"
            return None
        if iv is not None and not _IV.fullmatch(iv):
            raise PlaylistError("it has a key with an IV that is none")
        return Key(method, self._led(uri), iv)

    def _map(self, value: str) -> None:
        given = _attributes(value)
        if not given.get("URI"):
            return
        key = self._key
        if key is not None and key.iv is None:
            key = replace(key, iv=f"0x{self._number:032x}")
        parts = _byte_range(given["BYTERANGE"]) if "BYTERANGE" in given else None
        at = None if parts is None else (parts[0], parts[1] or 0)
        self._section = Section(self._led(given["URI"]), at, key)

    def _stream(self, value: str) -> None:
        given = _attributes(value)
        bandwidth = given.get("BANDWIDTH", "")
        self._variant = (int(bandwidth[:9]) if _NUMBER.fullmatch(bandwidth) else 0, given.get("AUDIO", ""))

    def _rendition(self, value: str) -> None:
        given = _attributes(value)
        if given.get("TYPE") != "AUDIO" or not given.get("GROUP-ID"):
            return
        uri = self._led(given["URI"]) if given.get("URI") else ""
        self._renditions.append((given["GROUP-ID"], given.get("NAME", ""), given.get("LANGUAGE", ""), uri))
        self._check_list_count()

    def _add_variant(self, uri: str, bandwidth: int, group: str) -> None:
        self._variants.append((bandwidth, group, self._led(uri)))
        self._variant = None
        self._check_list_count()

    def _check_list_count(self) -> None:
        if len(self._variants) + len(self._renditions) > MAX_LISTS:
            raise PlaylistTooLargeError(f"it names more than {MAX_LISTS} lists")

    def _add_segment(self, uri: str, duration_s: float) -> None:
        at: ByteRange | None = None
        if self._range is not None:
            length, offset = self._range
            at = (length, self._next_offset if offset is None else offset)
        self._next_offset = 0 if at is None else sum(at)
        segment = Segment(self._number, self._led(uri), duration_s, at, self._key, self._section, self._programme_s)
        self._media.segments.append(segment)
        if self._programme_s is not None:
            self._programme_s += duration_s
        self._number += 1
        self._duration_s = self._range = None
        key_chars = len(self._key.uri) if self._key else 0
        self._cost += _SEGMENT_COST_BYTES + 2 * self._address_chars + len(uri) + key_chars
        if len(self._media.segments) > MAX_SEGMENTS or self._cost > MAX_COST_BYTES:
            raise PlaylistTooLargeError(f"it has more than {len(self._media.segments) - 1:,} segments")

    def _led(self, uri: str) -> str:
        if len(uri) > MAX_URI_CHARS:
            raise PlaylistTooLargeError(f"it has an address of more than {MAX_URI_CHARS:,} characters")
        return self._lead(uri)


def _lines(body: bytes) -> Iterator[str]:
    """Yield the lines that are not empty, stripped; bytes beyond ASCII are decoded as Latin-1."""
    start, size = 0, len(body)
    while start < size:
        end = body.find(b"\n", start)
        end = size if end < 0 else end
        line = body[start:end].strip(b" \t\r\n\x0b\x0c\0")
        start = end + 1
        if line:
            # no control character may reach the written playlist
            yield line.decode("latin-1").translate(_NO_CONTROLS)


def _attributes(value: str) -> dict[str, str]:
    return {name: text.strip('"').strip() for name, text in _ATTRIBUTE.findall(value)}


def _seconds(text: str) -> float:
    try:
        value = float(text.strip())
    except ValueError:
        return 0.0
    return min(max(value, 0.0), _MAX_DURATION_S) if math.isfinite(value) else 0.0


def _byte_range(text: str) -> tuple[int, int | None]:
    match = _RANGE.fullmatch(text.strip().strip('"'))
    if match is None or int(match[1]) == 0:
        raise PlaylistError("it has a byte range that is none")
    return int(match[1]), None if match[2] is None else int(match[2])


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
