"""The names that recorders give their files: one table of anchored patterns, and the time that a name has by it.

Owns: what a whole name may look like, and which time it is. A name that is not wholly of a pattern has no time: a part
that looks like one may be a serial number, or when the recording ended. Does not know: files, zones that a name lacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from edgeaudio.archive.written_times import NoSuchTimeError, StartTimeError, WrittenTime, credible, time_of

MAX_NAME = 255  # of a file, on every file system
# of hexadecimal names; they may be of digits alone, but then a date such as 31012024 is none of them
AUDIOMOTHS_FIRST_YEAR = 2016
GIVE = "give its beginning with --begins"
ADVICE = f"{GIVE}, or rename it as docs/archives.md shows"

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATE = _YEAR + r"(?P<month>\d\d)(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
_POINT = r"(?:\.(?P<fraction>\d{1,9}))?"
_OFFSET = r"(?P<zone>Z|[+-]\d\d:?\d\d)"
_BEFORE = r"(?:(?P<before>.+)[ _.-])?"
_AFTER = r"(?P<after>[ _].*)?"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one kind of recorder calls its files.

    name: In messages and in the documentation's table.
    example: A real name, or one by the maker's manual.
    zone: What the name says of the time zone: "none" (the recorder's clock), "UTC", "written", "if written".
    regex: Of the whole name without its ending. The groups year to second, fraction and zone are the time (time_of),
        `seconds` and `hexadecimal` are seconds since 1970 (UTC), `end` is when it ended, `before` and `after` may not
        hold another time.
    refused: Why such a name does not say when the sound begins; None: it does.
    """

    name: str
    example: str
    zone: str
    regex: re.Pattern[str]
    refused: str | None = None


def _pattern(name: str, example: str, zone: str, regex: str, refused: str | None = None) -> Pattern:
    return Pattern(name, example, zone, re.compile(regex, re.ASCII), refused)


PATTERNS: Final = (
    # AudioMoth-Firmware-Basic, src/main.c, generateFolderAndFilename: the clock of the configured zone, UTC unless set;
    # T is a triggered recording. A device's id before it, and _SYNC: AudioMoth-Utils, filenameHandler.js
    _pattern("AudioMoth", "20240131_235959.WAV", "none", rf"(?:[0-9A-F]{{16}}_)?{_DATE}_{_TIME}(?:T|_SYNC)?"),
    # firmware before 1.2.2: seconds since 1970, as %08X (seewave's audiomoth(), kitzeslab/lab-docs)
    _pattern("AudioMoth, hexadecimal", "5E90A4D4.WAV", "UTC", r"(?P<hexadecimal>[0-9A-F]{8})"),
    # Ocean Sonics icListen: the file's own INAM RBW6661_20240601_053114 (MHKiT-Python's test_acoustics.py)
    _pattern("icListen", "RBW6661_20240131_235959.wav", "none", rf"RB[A-Z]_?\d{{1,6}}_{_DATE}_{_TIME}"),
    # Wildlife Acoustics user guides: SM2, SM4, Mini PREFIX_date_time; SM3 PREFIX_0+1_date_time, $ with GPS (SM3BAT,
    # 8.1); SMART prefix_date_hhmmss_uuuuuu (File Name Conventions); bat triggers and Kaleidoscope _mmm
    _pattern(
        "Wildlife Acoustics",
        "SITE-A_20240131_235959.wav",
        "none",
        rf"(?P<before>.+)_{_DATE}[_$]{_TIME}(?:_(?P<fraction>\d{{6}}|\d{{3}}))?",
    ),
    # Ocean Instruments ST300 to ST600 user manuals, "Data files": serial number, then YYMMDDHHMMSS
    _pattern(
        "SoundTrap",
        "5146.240131235959.wav",
        "none",
        rf"\d{{1,12}}\.(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d){_TIME}",
    ),
    # JASCO AMAR G3 and G4: the name's last part between points (lifewatch/pyhydrophone, amar.py)
    _pattern("AMAR", "AMAR123.20240131T235959Z.wav", "UTC", rf"(?P<before>AMAR.+)\.{_DATE}T{_TIME}(?P<zone>Z)"),
    # orcasound/orcanode, node/stream.sh: %Y-%m-%d_%H-%M-%S_NODE-RATE-CHANNELS; the nodes' clocks are set to UTC
    _pattern(
        "Orcasound",
        "2024-01-31_23-59-59_rpi_orcasound_lab-48000-2.flac",
        "none",
        rf"{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)_(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)_"
        r"(?P<after>.+)-\d{4,6}-\d{1,2}",
    ),
    # QutEcoacoustics/emu, DateVariants: with the end; the first firmware of the kind wrote no offset
    _pattern(
        "Frontier Labs, start and end",
        "S20240131T235959.982648+1000_E20240201T000059.967555+1000_-12.34567+78.98102.wav",
        "if written",
        rf"S{_DATE}T{_TIME}{_POINT}(?P<zone>[+-]\d{{4}})?"
        rf"(?P<end>_E\d{{8}}T\d{{6}}(?:\.\d{{1,9}})?(?:[+-]\d{{4}})?){_AFTER}",
    ),
    # Frontier Labs BAR 20210617T080000+0000_Rec2_-18.2656+144.5564.flac, Ocean Networks Canada
    # ICLISTENHF1251_20130813T063620.983Z.wav, Cornell Swift SwiftOne_20220719_000000_-0400.wav, openecoacoustics.org
    _pattern(
        "with offset",
        "SITE_20240131T235959.123+1000_rec2.flac",
        "written",
        rf"{_BEFORE}{_DATE}[T_-]{_TIME}{_POINT}_?{_OFFSET}{_AFTER}",
    ),
    # ISO 8601 with hyphens or underscores: OOI OO-HYEA2--YDH-2015-12-16T023000.000000.flac, OwlSense, FFmpeg's strftime
    _pattern(
        "ISO 8601",
        "SITE_2024-01-31T23-59-59.wav",
        "if written",
        rf"{_BEFORE}{_YEAR}(?P<dash>[-_])(?P<month>\d\d)(?P=dash)(?P<day>\d\d)(?:T|_T|_| )"
        rf"(?P<hour>\d\d)(?P<sep>[-_:]?)(?P<minute>\d\d)(?P=sep)(?P<second>\d\d){_POINT}_?{_OFFSET}?",
    ),
    _pattern("ISO 8601, basic", "SITE_20240131T235959.wav", "none", rf"{_BEFORE}{_DATE}[T-]{_TIME}{_POINT}"),
    _pattern("digits alone", "SITE_20240131235959.wav", "none", rf"{_BEFORE}{_DATE}{_TIME}"),
    # Orcasound's folders of live sound, loggers: ten digits, from 2001 on
    _pattern("seconds since 1970", "1706745599.flac", "UTC", r"(?P<seconds>\d{10})"),
    # one such number in 200 is seconds since 1970 too, and then is refused as both
    _pattern(
        "two digits a part",
        "2401312359.wav",
        "none",
        r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>)",
        "it may be year, month, day, hour and minute, but no recorder is known that writes it so",
    ),
    # edgeaudio/clips/record.py, file_stem
    _pattern(
        "edgeaudio's clip",
        "20240131T235959123Z_porch-dog-bark_0b9c1f8e.opus",
        "UTC",
        rf"{_DATE}T{_TIME}(?P<fraction>\d{{3}})(?P<zone>Z)_[a-z0-9-]{{1,64}}_[A-Za-z0-9-]{{1,64}}",
        "the time in it is the event's onset, and the sound begins before that (`begin` in the clip's .json)",
    ),
)

_CLOCK_GROUPS: Final = ("month", "day", "hour", "minute", "second")
_TIME_GROUPS: Final = ("year", *_CLOCK_GROUPS, "fraction", "zone", "seconds", "hexadecimal", "end")
_LONG_NUMBER = re.compile(r"\d{6,}")  # the time; a serial number before it stays
_SERIAL = re.compile(r"\d+(?=\.)")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}", re.ASCII)
# what may be a time in the rest of a name: the end of a recording, or the beginning of which it is a part
_ANOTHER = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?:(?:0[1-9]|1[0-2])[0-3]\d[T_$ -]?|[-_](?:0[1-9]|1[0-2])[-_][0-3]\d[T_ -]{1,2})"
    r"[0-2]\d[-_:]?[0-5]\d[-_:]?[0-5]\d(?!\d)"
    r"|(?<=\.)\d\d(?:0[1-9]|1[0-2])[0-3]\d[0-2]\d[0-5]\d[0-5]\d(?!\d)",
    re.ASCII,
)


def time_in_name(path: str, now: datetime, patterns: Sequence[Pattern] = PATTERNS) -> WrittenTime:
    """Return the time in a file's name (what follows the last slash of a path); `now` (aware) bounds its year.

    Raises StartTimeError if the name is of no pattern, its date does not exist or is not credible, or it has two times,
    by two patterns or beside each other; names them.
    """
    name = path.rpartition("/")[2]
    stem = _stem(name)
    found: dict[datetime, tuple[Pattern, WrittenTime]] = {}
    wrong = ""
    for pattern in patterns if len(name) <= MAX_NAME else ():
        match = pattern.regex.fullmatch(stem)
        if match is None:
            continue
        groups = match.groupdict()
        try:
            time = _time(groups, now)
        except NoSuchTimeError as error:
            wrong = wrong or f"its name ({pattern.name}): {error}; {ADVICE}"
            continue
        rest = f"{groups.get('before') or ''} {groups.get('after') or ''}"
        other = _ANOTHER.search(rest) if len(rest) > 1 else None
        if other is not None:
            raise StartTimeError(f"its name holds two times, {time} ({pattern.name}) and {other.group()}; {GIVE}")
        found.setdefault(time, (pattern, WrittenTime(time, f"its name ({pattern.name})")))
    if len(found) > 1:
        readings = " and ".join(f"{time} ({pattern.name})" for time, (pattern, _) in found.items())
        raise StartTimeError(f"its name can be read as {readings}; {GIVE}")
    if not found:
        raise StartTimeError(wrong or f"its name has no time that is known; {ADVICE}")
    ((pattern, written),) = found.values()
    if pattern.refused is not None:
        raise StartTimeError(f"its name ({pattern.name}): {pattern.refused}; {GIVE}")
    return written


def without_time(name: str) -> tuple[str, str]:
    """Return a file's name without its time, and the 14 digits of that time by the clock that the name has.

    The digits are "" for seconds since 1970, and for a name of no pattern, of which long numbers are taken out.
    """
    stem = _stem(name)
    for pattern in PATTERNS if len(name) <= MAX_NAME else ():
        match = pattern.regex.fullmatch(stem)
        if match is None:
            continue
        groups = match.groupdict()
        spans = [match.span(group) for group in _TIME_GROUPS if groups.get(group) is not None]
        begin, end = min(first for first, _ in spans), max(last for _, last in spans)
        year = groups.get("year") or ""
        century = "20" if len(year) == 2 else ""
        clock = century + year + "".join(groups[group] for group in _CLOCK_GROUPS) if year else ""
        return f"{name[:begin]}#{name[end:]}", clock
    serial = _SERIAL.match(name)
    kept = serial.group() if serial else ""
    return kept + _LONG_NUMBER.sub("#", name[len(kept) :]), ""


def _stem(name: str) -> str:
    """Return a name without its ending, if it has one."""
    end = name.rfind(".")
    return name if _ENDING.fullmatch(name[end:]) is None else name[:end]


def _time(groups: dict[str, str | None], now: datetime) -> datetime:
    if groups.get("year") is not None:
        return time_of(groups, now)
    digits = groups.get("hexadecimal")
    if digits is not None:
        return credible(datetime.fromtimestamp(int(digits, 16), UTC), now, AUDIOMOTHS_FIRST_YEAR)
    return credible(datetime.fromtimestamp(int(groups["seconds"] or ""), UTC), now)
