"""Times as recorders write them, and the UTC that they mean.

Owns: which times are credible, UTC offsets, time zones, and the hours that a change of clocks skips or repeats.
Does not know: where a time is written (name_patterns.py, recorder_comments.py, begins_csv.py).
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from edgeaudio.errors import EdgeaudioError

FIRST_YEAR = 1990  # no digital recorder in the field is older; a clock that was never set says 1970 or 1980
MAX_OFFSET = timedelta(hours=14)  # of UTC, in use: -12:00 to +14:00
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII)
# RFC 3339 and GUANO 1.0, "Dates"; also with a space (Wildlife Acoustics), and offsets such as -5:00 and +00 (icListen)
_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d{1,2}(?::?\d\d)?)?",
    re.ASCII,
)
_MINUTES = frozenset({0, 15, 30, 45})  # of the offsets in use; others are numbers that happen to have a sign
# files beside the zones: on each machine another, or none
_OTHERS = frozenset({"localtime", "posixrules", "Factory"})
ZONE_FORMS = "UTC, +01:00 or Europe/Berlin"


class StartTimeError(EdgeaudioError):
    """When a recording begins cannot be said. One line, without the recording's name, that ends in what to do."""


class ZoneNeededError(StartTimeError):
    """A time is written without a zone, and none was given."""


class NoSuchTimeError(ValueError):
    """A date, an hour or an offset that does not exist, or a year that is not credible; says which."""


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A time as it stands in a name or a file: aware where a zone stands beside it, otherwise the recorder's clock.

    origin: What wrote it and where ("its name (AudioMoth)"), for messages.
    """

    time: datetime
    origin: str

    @property
    def clock(self) -> datetime:
        """Its digits without a zone."""
        return self.time.replace(tzinfo=None)

    def utc(self, zone: tzinfo | None) -> datetime:
        """Return the aware UTC time; `zone` is that of the recorder's clock, used where none is written.

        Raises:
            ZoneNeededError: Neither is there.
            StartTimeError: The zone's clocks skip this time, or have it twice.
        """
        if self.time.tzinfo is not None:
            return self.time.astimezone(UTC)
        if zone is None:
            ask = f"give that of the recorder's clock with --zone: {ZONE_FORMS}"
            raise ZoneNeededError(f"{self.origin} says {self.time}, in no time zone: {ask}")
        early = self.time.replace(tzinfo=zone, fold=0).astimezone(UTC)
        late = self.time.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if early == late:
            return early
        advice = "if its clock keeps one offset all year, give that (+01:00); if not, give the time with --begins"
        if late < early:  # PEP 495: in a gap, the offsets before and after it are used the wrong way round
            raise StartTimeError(f"{self.origin} says {self.time}, an hour that clocks in {zone} skip: {advice}")
        twice = f"twice in {zone}, {early:%H:%M:%S}Z and {late:%H:%M:%S}Z"
        raise StartTimeError(f"{self.origin} says {self.time}, which is {twice}: {advice}")


def zone_of(text: str) -> tzinfo:
    """Return a time zone: `UTC`, an offset such as `+01:00`, or a name such as `Europe/Berlin`.

    Raises EdgeaudioError for another text, and where this machine has no zone files.
    """
    if text in {"UTC", "Z"}:
        return UTC
    if _OFFSET.fullmatch(text):
        try:
            return offset_of(text)
        except NoSuchTimeError as error:
            raise EdgeaudioError(f"time zone {text!r}: {error}; give {ZONE_FORMS}") from None
    return _zone_named(text, ZONE_FORMS, "an offset (+01:00)")


def named_zone(text: str) -> tzinfo:
    """Return a time zone: `UTC`, or a name such as `Europe/Berlin`. Raises EdgeaudioError, as `zone_of` does."""
    return UTC if text == "UTC" else _zone_named(text, "UTC or Europe/Berlin", "UTC")


def _zone_named(text: str, forms: str, without_files: str) -> tzinfo:
    known = zoneinfo.available_timezones() - _OTHERS
    if text in known:
        return zoneinfo.ZoneInfo(text)
    if not known:
        raise EdgeaudioError(
            f"time zone {text[:40]!r} cannot be read, for this machine has no zone files: install tzdata (apt-get or "
            f"pip), or give {without_files}"
        )
    close = difflib.get_close_matches(text[:40], known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"give {forms}"
    raise EdgeaudioError(f"time zone {text[:40]!r} does not exist: {meant}")


def offset_of(text: str) -> timezone:
    """Return the zone of `Z`, `+10`, `+1000` or `-03:30`. Raises NoSuchTimeError for an offset that no place has."""
    if text == "Z":
        return UTC
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise NoSuchTimeError(f"{text} is no UTC offset")
    sign, hours, minutes = match.groups(default="0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset > MAX_OFFSET or int(minutes) not in _MINUTES:
        raise NoSuchTimeError(f"no place has the UTC offset {text}")
    return timezone(-offset if sign == "-" else offset)


def iso_time(text: str, now: datetime) -> datetime:
    """Return the time of an RFC 3339 text, aware if it has a zone; `now` (aware) bounds the year.

    Raises NoSuchTimeError for another text, and as `time_of`.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise NoSuchTimeError(f"{text[:40]!r} is no time such as 2024-01-31T23:59:59+10:00")
    return time_of(match.groupdict(), now)


def time_of(digits: dict[str, str | None], now: datetime) -> datetime:
    """Return the time of what a pattern found: year (2 or 4 digits), month, day, hour, minute, second, fraction, zone.

    fraction: digits after the second's point; zone: as offset_of reads it. `now` (aware) bounds the year.

    Raises NoSuchTimeError for a date or an hour that does not exist, and a year before 1990 or after the next one.
    """
    year, fraction, zone = digits["year"] or "", digits.get("fraction"), digits.get("zone")
    try:
        time = datetime(
            int(year) + (2000 if len(year) == 2 else 0),
            int(digits["month"] or ""),
            int(digits["day"] or ""),
            int(digits["hour"] or ""),
            int(digits["minute"] or ""),
            int(digits["second"] or "0"),
            int(f"{fraction:0<6.6}") if fraction else 0,
            tzinfo=offset_of(zone) if zone else None,
        )
    except NoSuchTimeError:
        raise
    except ValueError:
        written = "{year}-{month}-{day} {hour}:{minute}:{second}".format_map(digits)
        raise NoSuchTimeError(f"{written} does not exist") from None
    return credible(time, now)


def credible(time: datetime, now: datetime, first_year: int = FIRST_YEAR) -> datetime:
    """Return the time. Raises NoSuchTimeError if no recorder can have written its year."""
    if not first_year <= time.year <= now.year + 1:
        clock = "was the recorder's clock set?"
        if time.year > now.year:
            clock = f"by this machine's clock it is {now:%Y-%m-%d}: is that right, and was the recorder's?"
        raise NoSuchTimeError(f"the year of {time} is not from {first_year} to {now.year + 1} ({clock})")
    return time
