"""HLS playlists as values, and the text of one that FFmpeg is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

ByteRange = tuple[int, int]  # length, offset


@dataclass(frozen=True, slots=True)
class Key:
    """Encryption of segments (EXT-X-KEY)."""

    method: str  # AES-128 or SAMPLE-AES
    uri: str
    iv: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """Initialisation section of segments (EXT-X-MAP)."""

    uri: str
    byte_range: ByteRange | None
    key: Key | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of the stream."""

    number: int  # media sequence number
    uri: str
    duration_s: float
    byte_range: ByteRange | None = None
    key: Key | None = None
    section: Section | None = None
    programme_s: float | None = None  # programme date-time of its first sample, as seconds since 1970

    @property
    def is_sample_aes(self) -> bool:
        """True if it is encrypted within, sample by sample."""
        return self.key is not None and self.key.method == "SAMPLE-AES"


@dataclass(slots=True)
class MediaPlaylist:
    """A list of segments."""

    target_duration_s: int = 0
    numbered: bool = False  # it gives the media sequence number of its first segment
    kind: str = ""  # EVENT, VOD or nothing
    ended: bool = False  # nothing will be added
    segments: list[Segment] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """True if segments are still added."""
        return not self.ended and self.kind != "VOD"

    @property
    def has_sample_aes(self) -> bool:
        """True if any of its segments is encrypted by SAMPLE-AES."""
        return any(segment.is_sample_aes for segment in self.segments)

    def text(self) -> str:
        """Return the playlist for FFmpeg."""
        first = self.segments[0].number if self.segments else 0
        # FFmpeg waits for the target duration between two requests for a playlist
        longest_s = max((segment.duration_s for segment in self.segments), default=0.0)
        target_s = min(self.target_duration_s, max(1, math.ceil(longest_s)))
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{target_s}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        if self.kind:
            lines.append(f"#EXT-X-PLAYLIST-TYPE:{self.kind}")
        key: Key | None = None
        section: Section | None = None
        for segment in self.segments:
            if segment.section != section and segment.section is not None:
                section = segment.section
                if section.key != key:
                    lines.append(_key_line(section.key))
                    key = section.key
                at = (
                    ""
                    if section.byte_range is None
                    else f',BYTERANGE="{section.byte_range[0]}@{section.byte_range[1]}"'
                )
                lines.append(f'#EXT-X-MAP:URI="{section.uri}"{at}')
            if segment.key != key:
                lines.append(_key_line(segment.key))
                key = segment.key
            duration_s = min(segment.duration_s, self.target_duration_s) if self.is_live else segment.duration_s
            lines.append(f"#EXTINF:{duration_s:.6f},")
            if segment.byte_range is not None:
                lines.append(f"#EXT-X-BYTERANGE:{_written(segment.byte_range)}")
            lines.append(segment.uri)
        if not self.is_live:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class MasterPlaylist:
    """A list of lists: variants of a stream, and audio tracks beside them."""

    variants: list[tuple[int, str, str]]  # bandwidth, audio group, URI
    renditions: list[tuple[str, str, str, str]]  # group, name, language, URI or nothing

    def text(self) -> str:
        """Return the playlist for FFmpeg."""
        lines = ["#EXTM3U"]
        for group, name, language, uri in self.renditions:
            values = {"GROUP-ID": group, "NAME": name, "LANGUAGE": language, "URI": uri}
            attributes = ",".join(f'{key}="{value}"' for key, value in values.items() if value)
            lines.append(f"#EXT-X-MEDIA:TYPE=AUDIO,{attributes}")
        for bandwidth, group, uri in self.variants:
            audio = f',AUDIO="{group}"' if group else ""
            lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}{audio}", uri]
        return "\n".join(lines) + "\n"


def _key_line(key: Key | None) -> str:
    if key is None:
        return "#EXT-X-KEY:METHOD=NONE"
    iv = "" if key.iv is None else f",IV={key.iv}"
    return f'#EXT-X-KEY:METHOD={key.method},URI="{key.uri}"{iv}'


def _written(byte_range: ByteRange) -> str:
    return f"{byte_range[0]}@{byte_range[1]}"
