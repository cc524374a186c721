"""Each pattern reads what its recorder writes, and nothing that only looks like it; clocks, zones, and what wins."""

from __future__ import annotations

import io
import re
import time
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.archive.name_patterns import PATTERNS, Pattern, time_in_name
from edgeaudio.archive.start_times import beginning
from edgeaudio.archive.written_times import (
    NoSuchTimeError,
    StartTimeError,
    ZoneNeededError,
    named_zone,
    offset_of,
    zone_of,
)
from edgeaudio.errors import EdgeaudioError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}
LAST = datetime(2024, 1, 31, 23, 59, 59)  # noqa: DTZ001  # a recorder's clock
AEST, NST = timezone(timedelta(hours=10)), timezone(-timedelta(hours=3, minutes=30))
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

# name, pattern, time
READ = [
    ("20240131_235959.WAV", "AudioMoth", LAST),
    ("20240131_235959T.WAV", "AudioMoth", LAST),
    ("24F31903603D5A5F_20240131_235959.WAV", "AudioMoth", LAST),
    ("20240131_235959_SYNC.flac", "AudioMoth", LAST),
    ("5E90A4D4.WAV", "AudioMoth, hexadecimal", datetime(2020, 4, 10, 16, 54, 44, tzinfo=UTC)),
    ("58012345.WAV", "AudioMoth, hexadecimal", datetime(2016, 10, 14, 18, 26, 13, tzinfo=UTC)),
    ("RBW6661_20240131_235959.wav", "icListen", LAST),
    ("RBW_6661_20240131_235959.wav", "icListen", LAST),
    ("S4A01234_20240131_235959.wav", "Wildlife Acoustics", LAST),
    ("SM301297_0+1_20240131_235959.wav", "Wildlife Acoustics", LAST),
    ("OLONG-CH1_0+1_20240131$235959.wav", "Wildlife Acoustics", LAST),
    ("FNQ-RBS_20240131_235959_010.wav", "Wildlife Acoustics", LAST.replace(microsecond=10_000)),
    ("a4:cf_20240131_235959_000123.wav", "Wildlife Acoustics", LAST.replace(microsecond=123)),
    ("Lake 3 (north)_20240131_235959.wav", "Wildlife Acoustics", LAST),
    ("5146.240131235959.wav", "SoundTrap", LAST),
    ("335839270.240131235959.wav", "SoundTrap", LAST),
    # by four digits for the year it would be 2011-12-01
    ("5146.201112010203.wav", "SoundTrap", datetime(2020, 11, 12, 1, 2, 3)),  # noqa: DTZ001
    ("AMAR123.20240131T235959Z.wav", "AMAR", LAST.replace(tzinfo=UTC)),
    ("AMAR540.4.32000.20240131T235959Z.wav", "AMAR", LAST.replace(tzinfo=UTC)),
    ("2024-01-31_23-59-59_rpi_orcasound_lab-48000-2.flac", "Orcasound", LAST),
    (BY_NAME["Frontier Labs, start and end"].example, "Frontier Labs, start and end", None),
    ("S20240131T235959.5_E20240201T000059.5.wav", "Frontier Labs, start and end", LAST.replace(microsecond=500_000)),
    ("20240131T235959+1000_Rec2_-18.2656+144.5564.flac", "with offset", LAST.replace(tzinfo=AEST)),
    ("site 3 20240131T235959-0330.wav", "with offset", LAST.replace(tzinfo=NST)),
    ("SwiftOne_20240131_235959_+1000.wav", "with offset", LAST.replace(tzinfo=AEST)),
    ("ICLISTENHF1251_20240131T235959.250Z.wav", "with offset", LAST.replace(microsecond=250_000, tzinfo=UTC)),
    ("20240131-235959Z.mp3", "with offset", LAST.replace(tzinfo=UTC)),
    ("OO-HYEA2--YDH-2024-01-31T235959.000000.flac", "ISO 8601", LAST),
    ("OWL_123456_2024-01-31_T23-59-59.WAV", "ISO 8601", LAST),
    ("2024_01_31_23_59_59.flac", "ISO 8601", LAST),
    ("2024-01-31T23:59:59Z.wav", "ISO 8601", LAST.replace(tzinfo=UTC)),
    ("MARS_20240131T235959.wav", "ISO 8601, basic", LAST),
    ("20240131-235959.ogg", "ISO 8601, basic", LAST),
    ("20240131235959.wav", "digits alone", LAST),
    ("site_20240131235959.wav", "digits alone", LAST),
    ("1706745599.flac", "seconds since 1970", LAST.replace(tzinfo=UTC)),
    ("20240131_235959", "AudioMoth", LAST),
]

# names that nearly are of a pattern, and a word of the refusal
REFUSED = [
    ("20240231_235959.WAV", "2024-02-31 23:59:59 does not exist"),
    ("20240131_240000.WAV", "does not exist"),
    ("20240131_235960.WAV", "does not exist"),
    ("20240131_236059.WAV", "does not exist"),
    ("19700101_000004.WAV", "1990 to 2027 (was the recorder's clock set?)"),
    ("20280131_235959.WAV", "1990 to 2027 (by this machine's clock it is 2026-"),
    ("SITE_19891231_235959.wav", "1990 to 2027"),
    ("20240131_23595.WAV", "no time that is known"),
    ("20240131_2359590.WAV", "no time that is known"),
    ("20240131_235959TT.WAV", "no time that is known"),
    ("20240131_235959.trimmed.wav", "no time that is known"),
    ("20180517_010348.5AFCD4F4.WAV", "no time that is known"),
    ("5e90a4d4.WAV", "no time that is known"),
    ("5E90A4D45.WAV", "no time that is known"),
    ("20240131.WAV", "2016 to 2027"),
    ("DEADBEEF.WAV", "2016 to 2027"),
    ("SITE_20240131_235959_12.wav", "no time that is known"),
    ("5146.240231235959.wav", "24-02-31 23:59:59 does not exist"),
    ("5146.24013123595.wav", "no time that is known"),
    ("5146.2401312359590.wav", "no time that is known"),
    ("A146.240131235959.wav", "no time that is known"),
    ("240131235959.wav", "no time that is known"),
    ("AMAR123.20240131T235959Z.1.wav", "no time that is known"),
    ("2024-01_31_23-59-59.wav", "no time that is known"),
    ("2024-01-31_23-59-59_lab-2.flac", "no time that is known"),
    ("20240131T235959+9900.wav", "no place has the UTC offset +9900"),
    ("20240131T235959-0001.wav", "no place has the UTC offset -0001"),
    ("20240131T235959+1000rec.wav", "no time that is known"),
    ("site20240131235959.wav", "no time that is known"),
    ("170674559.flac", "no time that is known"),
    ("0170674559.flac", "1990 to 2027"),
    ("1503142359.wav", "2017-08-19 11:32:39+00:00 (seconds since 1970) and 2015-03-14 23:59:00 (two digits a part)"),
    ("2401312359.wav", "no recorder is known that writes it so"),
    ("31012024.wav", "2016 to 2027"),
    ("9706745599.flac", "1990 to 2027"),
    ("20٢٤٠١٣١_٢٣٥٩٥٩.wav", "no time that is known"),  # noqa: RUF001  # digits, but none that a recorder writes
    ("20240131_235959_20240201_000000.wav", "two times"),
    ("20240131T235959Z_20240201T000059Z.wav", "two times"),
    ("2024-01-31_23-59-59_20240201_000059.wav", "two times"),
    ("5146.240131235959_20240201_000059.wav", "two times"),
    ("20240131T235959123Z_porch-dog-bark_0b9c1f8e.opus", "the event's onset"),
    ("ZOOM0001.WAV", "no time that is known"),
    (".wav", "no time that is known"),
    ("", "no time that is known"),
    ("S" * 300 + "_20240131_235959.wav", "no time that is known"),
]


@pytest.mark.parametrize(("name", "pattern", "expected"), READ, ids=[name for name, _, _ in READ])
def test_a_recorders_name_is_read_by_its_pattern(name: str, pattern: str, expected: datetime | None) -> None:
    written = time_in_name(f"2024/site/{name}", NOW)
    assert written.origin == f"its name ({pattern})"
    if expected is not None:
        assert (written.time, written.time.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern.name))
def test_a_patterns_example_is_of_it(pattern: Pattern) -> None:
    if pattern.refused is None:
        written = time_in_name(pattern.example, NOW)
        assert written.origin == f"its name ({pattern.name})"
        assert (written.time.tzinfo is None) == (pattern.zone == "none" or pattern.name == "ISO 8601")
    else:
        with pytest.raises(StartTimeError, match=re.escape(pattern.name)):
            time_in_name(pattern.example, NOW)


def test_every_pattern_that_says_when_is_tried() -> None:
    assert {pattern for _, pattern, _ in READ} == {pattern.name for pattern in PATTERNS if pattern.refused is None}


@pytest.mark.parametrize(("name", "reason"), REFUSED, ids=[f"{name[:40]!r}" for name, _ in REFUSED])
def test_a_name_that_is_nearly_a_recorders_is_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(StartTimeError, match=re.escape(reason)) as caught:
        time_in_name(name, NOW)
    assert "\n" not in str(caught.value)
    assert "--begins" in str(caught.value)


def test_a_name_that_fits_two_patterns_at_different_times_is_refused_and_both_are_named() -> None:
    american = Pattern(
        "month last",
        "20240102_235959.WAV",
        "none",
        re.compile(
            r"(?P<year>\d{4})(?P<day>\d\d)(?P<month>\d\d)_(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)", re.ASCII
        ),
    )
    both = (*PATTERNS, american)
    with pytest.raises(StartTimeError, match=r"2024-01-02 .*\(AudioMoth\) and 2024-02-01 .*\(month last\)"):
        time_in_name("20240102_235959.WAV", NOW, both)
    assert time_in_name("20240101_235959.WAV", NOW, both).time.day == 1  # the same time by both
    assert time_in_name("20240131_235959.WAV", NOW, both).time == LAST  # by one it does not exist


FORMATS = {
    "AudioMoth": "{t:%Y%m%d_%H%M%S}.WAV",
    "AudioMoth, hexadecimal": "{s:08X}.WAV",
    "icListen": "RBW{n}_{t:%Y%m%d_%H%M%S}.wav",
    "Wildlife Acoustics": "S4A0{n}_{t:%Y%m%d_%H%M%S}.wav",
    "SoundTrap": "{n}.{t:%y%m%d%H%M%S}.wav",
    "AMAR": "AMAR{n}.{t:%Y%m%dT%H%M%S}Z.wav",
    "Orcasound": "{t:%Y-%m-%d_%H-%M-%S}_rpi_lab-48000-2.flac",
    "Frontier Labs, start and end": "S{t:%Y%m%dT%H%M%S.%f}{z}_E{t:%Y%m%dT%H%M%S.%f}{z}.wav",
    "with offset": "site_{t:%Y%m%dT%H%M%S}{z}_{n}.flac",
    "ISO 8601": "{t:%Y-%m-%d_%H_%M_%S}.wav",
    "ISO 8601, basic": "{t:%Y%m%dT%H%M%S}.wav",
    "digits alone": "{t:%Y%m%d%H%M%S}.wav",
    "seconds since 1970": "{s}.wav",
}
TIMES = st.datetimes(datetime(2001, 9, 10), datetime(2027, 12, 30)).map(  # noqa: DTZ001  # clocks
    lambda time: time.replace(microsecond=0)
)
OFFSETS = st.integers(-48, 56).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=examples(60))
@given(clock=TIMES, zone=OFFSETS, number=st.integers(1, 9999))
def test_what_a_recorder_writes_is_what_is_read(name: str, clock: datetime, zone: timezone, number: int) -> None:
    if "hexadecimal" in name:
        clock = clock.replace(year=2016 + clock.year % 12, day=min(clock.day, 28))
    seconds = int(clock.replace(tzinfo=UTC).timestamp())
    assume(name != "seconds since 1970" or not re.fullmatch(r"\d\d(0\d|1[0-2])[0-3]\d[0-2]\d[0-5]\d", str(seconds)))
    written = FORMATS[name].format(t=clock, s=seconds, n=number, z=clock.replace(tzinfo=zone).strftime("%z"))
    read = time_in_name(written, NOW)
    assert read.origin == f"its name ({name})"
    expected = {"none": None, "UTC": UTC, "written": zone}.get(BY_NAME[name].zone, read.time.tzinfo)
    assert read.time == clock.replace(tzinfo=expected)


def test_a_format_is_tried_for_every_pattern() -> None:
    assert list(FORMATS) == [pattern.name for pattern in PATTERNS if pattern.refused is None]


@settings(max_examples=examples(300))
@given(st.text(st.sampled_from("0123456789_-.TZ$ +ABSE"), max_size=60) | st.text(max_size=40))
def test_any_name_is_read_or_refused_in_one_line(name: str) -> None:
    try:
        year = time_in_name(name, NOW).time.year
        reason = ""
    except StartTimeError as error:
        year, reason = 1990, str(error)
    assert 1990 <= year <= 2027
    assert "\n" not in reason


@pytest.mark.parametrize("name", ["0" * 255, "_" * 255, "0_" * 127, "20240131_" * 28, "20240131_235959_" * 15 + "x"])
def test_no_name_takes_long(name: str) -> None:
    begun_s = time.process_time()
    for _ in range(20):
        with pytest.raises(StartTimeError):
            time_in_name(name, NOW)
    assert time.process_time() - begun_s < 1  # 0.02 s as measured


def test_a_time_without_a_zone_needs_one() -> None:
    with pytest.raises(ZoneNeededError, match=r"its name \(AudioMoth\) says 2024-01-31 23:59:59, in no time zone"):
        beginning("20240131_235959.WAV", None, NOW)
    begun = beginning("20240131_235959.WAV", None, NOW, zone=BERLIN)
    assert begun.begins_at == datetime(2024, 1, 31, 22, 59, 59, tzinfo=UTC)
    assert begun.begins_at.tzinfo is UTC
    assert begun.origin == "its name (AudioMoth)"
    assert beginning("20240131T235959+1000.wav", None, NOW, zone=BERLIN).begins_at.hour == 13  # its own counts


def test_an_hour_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(StartTimeError, match="2024-03-31 02:30:00, an hour that clocks in Europe/Berlin skip"):
        beginning("20240331_023000.WAV", None, NOW, zone=BERLIN)
    assert beginning("20240331_023000.WAV", None, NOW, zone=zone_of("+01:00")).begins_at.hour == 1


def test_an_hour_that_is_there_twice_is_refused_with_both_times() -> None:
    with pytest.raises(StartTimeError, match=r"twice in Europe/Berlin, 00:30:00Z and 01:30:00Z: .*--begins"):
        beginning("20241027_023000.WAV", None, NOW, zone=BERLIN)
    assert beginning("20241027_030000.WAV", None, NOW, zone=BERLIN).begins_at.hour == 2


@settings(max_examples=examples(200))
@given(TIMES, st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "UTC"]))
def test_a_local_time_is_one_of_utc_or_refused(clock: datetime, key: str) -> None:
    zone = zone_of(key)
    instants = {clock.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    real = {instant for instant in instants if instant.astimezone(zone).replace(tzinfo=None) == clock}
    name = f"{clock:%Y%m%d_%H%M%S}.WAV"
    if len(real) == 1:
        assert {beginning(name, None, NOW, zone=zone).begins_at} == real
        return
    with pytest.raises(StartTimeError, match="twice" if real else "skip"):
        beginning(name, None, NOW, zone=zone)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("UTC", timedelta(0)),
        ("Z", timedelta(0)),
        ("+01:00", timedelta(hours=1)),
        ("-0330", -timedelta(hours=3, minutes=30)),
        ("+10", timedelta(hours=10)),
        ("Asia/Kolkata", timedelta(hours=5, minutes=30)),
    ],
)
def test_a_zone_is_a_name_or_an_offset(text: str, offset: timedelta) -> None:
    assert datetime(2024, 1, 1, tzinfo=zone_of(text)).utcoffset() == offset


@pytest.mark.parametrize(
    "text",
    # with leap seconds, and this machine's own
    [
        "",
        "Europe",
        "Atlantis",
        "../../etc/passwd",
        "/etc/passwd",
        "+99:00",
        "CET\0",
        "right/UTC",
        "localtime",
        "x\n" * 999,
    ],
)
def test_another_zone_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        EdgeaudioError, match=r"time zone .*(give UTC, \+01:00 or Europe/Berlin|did you mean .*\?)$"
    ) as caught:
        zone_of(text)
    assert "\n" not in str(caught.value)


def test_a_misspelt_zone_is_put_right() -> None:
    with pytest.raises(EdgeaudioError, match=r"'Europe/Berln' does not exist: did you mean Europe/Berlin\?"):
        zone_of("Europe/Berln")


@pytest.mark.parametrize("text", ["", "1000", "+1000x", "+14:15", "-00:59"])
def test_an_offset_is_hours_and_quarters(text: str) -> None:
    with pytest.raises(NoSuchTimeError, match="UTC offset"):
        offset_of(text)


def test_a_machine_without_zone_files_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(EdgeaudioError, match=r"no zone files: install tzdata .*offset \(\+01:00\)"):
        zone_of("Europe/Berlin")
    assert zone_of("+01:00") == timezone(timedelta(hours=1))
    assert named_zone("UTC") is UTC
    with pytest.raises(EdgeaudioError, match=r"no zone files: install tzdata .*or give UTC$"):
        named_zone("Europe/Berlin")


def wav(timestamp: str) -> io.BytesIO:
    text = f"GUANO|Version:1.0\nTimestamp:{timestamp}\n".encode()
    text += b"\n" * (len(text) & 1)
    return io.BytesIO(b"RIFF\0\0\0\0WAVEguan" + len(text).to_bytes(4, "little") + text)


def test_a_table_wins_over_the_file_and_the_file_over_the_name() -> None:
    given_at = datetime(2024, 5, 5, 12, tzinfo=AEST)
    name, file = "20240131_235959.WAV", wav("2024-01-31T23:59:57+10:00")
    assert beginning(name, file, NOW, given=given_at).begins_at == datetime(2024, 5, 5, 2, tzinfo=UTC)
    begun = beginning(name, file, NOW)
    assert begun.begins_at == datetime(2024, 1, 31, 13, 59, 57, tzinfo=UTC)
    assert begun.origin == "its GUANO"
    assert beginning("ZOOM0001.WAV", file, NOW).begins_at == begun.begins_at


def test_a_name_without_a_time_needs_a_file_that_has_one() -> None:
    for file in (None, io.BytesIO(b"RIFF\0\0\0\0WAVE")):
        with pytest.raises(StartTimeError, match="no time that is known"):
            beginning("ZOOM0001.WAV", file, NOW)


def test_a_clock_that_was_never_set_is_not_made_good_by_the_name() -> None:
    with pytest.raises(StartTimeError, match="its GUANO: the year of 1970-01-01 00:00:04"):
        beginning("20240131_235959.WAV", wav("1970-01-01T00:00:04"), NOW, zone=UTC)


@pytest.mark.parametrize(
    ("name", "timestamp", "zone", "expected_hour"),
    [
        ("20240131_235959.WAV", "2024-01-31T23:59:59+10:00", None, 13),  # one clock wrote both
        ("20240131_135959.WAV", "2024-01-31T23:59:59+10:00", None, 13),  # renamed by UTC
        ("20240131_145959.WAV", "2024-01-31T23:59:59+10:00", BERLIN, 13),  # renamed by the user's zone
        ("20240131_235959.WAV", "2024-01-31T23:59:59+10:00", BERLIN, 13),  # the zone is for what has none
        ("20240131T235959+1000.wav", "2024-01-31 23:59:59", None, 13),  # only the name has a zone
        ("20240131T235959+1000.wav", "2024-01-31 13:59:59", None, 13),
        ("SITE_20240131_235959.wav", "2024-01-31 23:59:59", AEST, 13),  # neither has
        ("20240131T135959Z.wav", "2024-01-31T23:59:59+10:00", None, 13),
    ],
)
def test_a_file_and_its_name_that_say_the_same_time(
    name: str, timestamp: str, zone: tzinfo | None, expected_hour: int
) -> None:
    begun = beginning(name, wav(timestamp), NOW, zone=zone)
    assert begun.begins_at == datetime(2024, 1, 31, expected_hour, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "timestamp"),
    [
        ("20240131_235959.WAV", "2024-01-31T23:59:40Z"),
        ("20240131_235959.WAV", "2023-01-31T23:59:59+10:00"),
        ("20240131T235959Z.wav", "2024-01-31T23:59:59+10:00"),
        ("5E90A4D4.WAV", "2024-01-31T23:59:59Z"),
    ],
)
def test_a_file_and_its_name_that_disagree_are_refused_and_both_are_named(name: str, timestamp: str) -> None:
    with pytest.raises(StartTimeError, match=r"its GUANO says 20.*, but its name \(.*\) 20.*--begins"):
        beginning(name, wav(timestamp), NOW, zone=UTC)


@settings(max_examples=examples(100))
@given(TIMES, OFFSETS, st.integers(-10, 10))
def test_an_audiomoths_name_and_comment_agree_in_any_zone(clock: datetime, zone: timezone, late_s: int) -> None:
    assume(abs(clock.year - 2014) < 13)
    aware = clock.replace(tzinfo=zone) + timedelta(seconds=late_s)
    assert beginning(f"{clock:%Y%m%d_%H%M%S}.WAV", wav(aware.isoformat()), NOW).begins_at == aware


def test_the_documentation_has_the_table_of_the_code() -> None:
    document = (Path(__file__).parents[2] / "docs" / "archives.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `([^`|]+)` \| ([^|]+) \|$", document, re.MULTILINE)
    assert rows == [(pattern.name, pattern.example, pattern.zone) for pattern in PATTERNS]
