"""When a recording begins by what its recorder wrote into it: GUANO, AudioMoth's comment, and the like.

Owns: which chunk of which recorder says it, and in which words. Does not know: where chunks lie in a file
(sound_chunks.py), names of files, and which of two sources is right (start_times.py).
"""

from __future__ import annotations

import re
import struct
from datetime import datetime
from typing import BinaryIO, Final

from edgeaudio.archive.sound_chunks import VORBIS_COMMENT, info_items, read_chunks, vorbis_comments
from edgeaudio.archive.written_times import NoSuchTimeError, StartTimeError, WrittenTime, iso_time, time_of

# AudioMoth-Firmware-Basic, src/main.c, setHeaderComment. Without a zone: the first firmware, which knew UTC alone.
# Minutes have the sign of the hours.
_AUDIOMOTH = re.compile(
    r"Recorded at (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{3}))? "
    r"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4}) "
    r"(?:\(UTC(?:(?P<hours>[+-]\d{1,2})(?::(?P<minutes>[ \d]\d))?)?\) )?(?:by|during)\b",
    re.ASCII,
)
_WANTED: Final = frozenset({b"guan", b"wamd", b"LIST", VORBIS_COMMENT})
_WAMD_TIMESTAMP = 5  # Wildlife Acoustics' own chunk before GUANO: u16 id, u32 size, text
_BLANK = " \t\r\n\v\f\0"
ADVICE = "give its beginning with --begins"


def time_in_file(file: BinaryIO, now: datetime) -> WrittenTime | None:
    """Return when a WAV or FLAC file says that its recording begins, None if it does not; its sound is not read.

    file: Seekable. now: Aware; bounds the year.

    Raises:
        StartTimeError: The file says a time that does not exist or is not credible, or two that differ.
        OSError: By the file.
    """
    found: WrittenTime | None = None
    for name, content in read_chunks(file, _WANTED):
        written = _time_in_chunk(name, content, now)
        if found is None or written is None:
            found = found or written
        elif not _agree(found, written):
            raise StartTimeError(f"{found.origin} says {found.time}, and {written.origin} {written.time}; {ADVICE}")
        elif found.time.tzinfo is None:
            found = written
    return found


def time_in_audiomoth_comment(text: str, now: datetime) -> WrittenTime | None:
    """Return the time in "Recorded at 19:17:30 10/12/2024 (UTC+1) by AudioMoth ...", None of another text.

    Raises StartTimeError for a time that does not exist or is not credible.
    """
    match = _AUDIOMOTH.match(text)
    if match is None:
        return None
    digits = match.groupdict()
    hours, minutes = digits.pop("hours"), digits.pop("minutes")
    zone = f"{hours}:{(minutes or '00').replace(' ', '0')}" if hours else "Z"
    origin = "AudioMoth's comment in it"
    try:
        return WrittenTime(time_of({**digits, "zone": zone}, now), origin)
    except NoSuchTimeError as error:
        raise StartTimeError(f"{origin}: {error}; {ADVICE}") from None


def time_in_guano(text: str, now: datetime) -> WrittenTime | None:
    """Return the time of a GUANO text's field `Timestamp`, None if it has none or an empty one.

    Raises StartTimeError if it is no time, does not exist or is not credible, or if there are two that differ.
    """
    values = set()
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        if key.strip(_BLANK + "\ufeff") == "Timestamp" and value.strip(_BLANK):
            values.add(value.strip(_BLANK))
    if len(values) > 1:
        shown = " and ".join(repr(value[:40]) for value in sorted(values)[:2])
        raise StartTimeError(f"its GUANO has {len(values)} timestamps, {shown}; {ADVICE}")
    return _iso(values.pop(), "its GUANO", now) if values else None


def _time_in_chunk(name: bytes, content: bytes, now: datetime) -> WrittenTime | None:
    if name == b"guan":
        return time_in_guano(content.decode("utf-8", "replace"), now)
    if name == b"wamd":
        return _time_in_wamd(content, now)
    return _time_in_info(content, now) if name == b"LIST" else _time_in_vorbis_comment(content, now)


def _time_in_info(content: bytes, now: datetime) -> WrittenTime | None:
    items = {key: value.decode("latin-1").strip(_BLANK) for key, value in info_items(content).items()}
    created = items.get(b"ICRD", "")
    # others write the day on which the file was made
    if items.get(b"IART", "").startswith("icListen") and created:
        return _iso(created, "icListen's comment in it", now)
    return time_in_audiomoth_comment(items.get(b"ICMT", ""), now)


def _time_in_vorbis_comment(content: bytes, now: datetime) -> WrittenTime | None:
    fields = vorbis_comments(content)
    if "RECORDINGSTART" in fields:  # Frontier Labs (QutEcoacoustics/emu, FrontierLabs.cs)
        return _iso(fields["RECORDINGSTART"].strip(_BLANK), "Frontier Labs' comment in it", now)
    # what FFmpeg, SoX and flac make of AudioMoth's comment
    for key in ("COMMENT", "DESCRIPTION", "ICMT"):
        written = time_in_audiomoth_comment(fields.get(key, "").strip(_BLANK), now)
        if written is not None:
            return written
    return None


def _time_in_wamd(content: bytes, now: datetime) -> WrittenTime | None:
    at = 0
    while at + 6 <= len(content):
        kind, size = struct.unpack_from("<HI", content, at)
        if kind == _WAMD_TIMESTAMP:
            text = content[at + 6 : at + 6 + min(size, 99)].decode("latin-1").strip(_BLANK)
            return _iso(text, "Wildlife Acoustics' comment in it", now) if text else None
        at += 6 + size
    return None


def _iso(text: str, origin: str, now: datetime) -> WrittenTime:
    try:
        return WrittenTime(iso_time(text, now), origin)
    except NoSuchTimeError as error:
        raise StartTimeError(f"{origin}: {error}; {ADVICE}") from None


def _agree(one: WrittenTime, other: WrittenTime) -> bool:
    """True if two chunks of one file say the same second: in UTC, or by the recorder's clock where one has no zone."""
    if one.time.tzinfo is not None and other.time.tzinfo is not None:
        return abs((one.time - other.time).total_seconds()) < 1
    return abs((one.clock - other.clock).total_seconds()) < 1
