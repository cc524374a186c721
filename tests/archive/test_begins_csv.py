"""The table of beginnings is read, or refused in one line that says where."""

from __future__ import annotations

import csv
import errno
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.archive.begins_csv import MAX_LINE, read_begins
from edgeaudio.archive.written_times import zone_of
from edgeaudio.errors import EdgeaudioError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
AT = datetime(2024, 1, 31, 13, 59, 59, tzinfo=UTC)


def read(text: str | bytes, zone: str | None = None) -> dict[str, datetime]:
    content = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return read_begins("t.csv", content, NOW, zone_of(zone) if zone else None)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("file,begins_at\na/b.wav,2024-01-31T23:59:59+10:00\n", None),
        ("\ufefffile,begins_at\r\n./a/b.wav , 2024-01-31T13:59:59Z\r\n\r\n", None),
        ('begins_at,file\n2024-01-31 14:59:59,"a/b.wav"', "Europe/Berlin"),
    ],
)
def test_a_table_is_read(text: str, zone: str | None) -> None:
    begins = read(text, zone)
    assert begins == {"a/b.wav": AT}
    assert begins["a/b.wav"].tzinfo is UTC


def test_the_caller_keeps_its_file() -> None:
    content = io.BytesIO(b"file,begins_at\na,2024-01-31T13:59:59Z\n")
    read_begins("t.csv", content, NOW)
    assert not content.closed


GOOD = "a.wav,2024-01-31T13:59:59Z\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "t.csv:1: the first line must name the columns file and begins_at"),
        ("file\n", "t.csv:1: the first line must name the columns file and begins_at"),
        ("file,begins_at\n\n", "t.csv: names no recording"),
        ("file,begins_at,file\n", "t.csv:1: the first line must name the columns file and begins_at, once each"),
        ("file;begins_at\n", "t.csv:1: column 'file;begins_at' is unknown; .* comma"),
        ("file,begins_at,depth\n", "t.csv:1: column 'depth' is unknown"),
        (f"file,begins_at\n{GOOD}b.wav\n", "t.csv:3: has 1 values for 2 columns"),
        (f"file,begins_at\n{GOOD}b,c,2024-01-31T13:59:59Z\n", "t.csv:3: has 3 values"),
        (f"file,begins_at\n{GOOD}\n./{GOOD}", "t.csv:4: 'a.wav' is in line 2 too"),
        ("file,begins_at\n,2024-01-31T13:59:59Z\n", "t.csv:2: file '' is no path"),
        ("file,begins_at\n/a.wav,2024-01-31T13:59:59Z\n", "t.csv:2: file '/a.wav' is no path"),
        ("file,begins_at\nb/../../a.wav,2024-01-31T13:59:59Z\n", "t.csv:2: file .* is no path"),
        ("file,begins_at\na.wav,\n", "t.csv:2: '' is no time such as 2024-01-31T23:59:59"),
        ("file,begins_at\na.wav,31.01.2024 13:59\n", "t.csv:2: '31.01.2024 13:59' is no time"),
        ("file,begins_at\na.wav,2024-02-31T13:59:59Z\n", "t.csv:2: 2024-02-31 13:59:59 does not exist"),
        ("file,begins_at\na.wav,1970-01-01T00:00:00Z\n", "t.csv:2: .*1990 to 2027"),
        ("file,begins_at\na.wav,2024-01-31T13:59:59\n", "t.csv:2: .*in no time zone"),
        ('file,begins_at\n"a.wav,2024', "t.csv:.: is not CSV"),
        (f"file,begins_at\n{'x' * MAX_LINE}", "t.csv:2: has more than 16,384 bytes in a line"),
        (b"file,begins_at\n\xe4.wav,2024-01-31T13:59:59Z\n", "t.csv:2: is not UTF-8 .* save it as CSV in UTF-8"),
        ("file,begins_at\n".encode("utf-16"), "t.csv:1: is not UTF-8"),
    ],
)
def test_a_table_of_another_form_is_refused_with_the_line(text: str | bytes, reason: str) -> None:
    with pytest.raises(EdgeaudioError, match=reason) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_table_that_cannot_be_read_is_told() -> None:
    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(EdgeaudioError, match=r"t\.csv: cannot be read: Input/output error"):
        read_begins("t.csv", Broken(), NOW)


def test_an_hour_that_clocks_skip_is_refused_with_the_line() -> None:
    with pytest.raises(EdgeaudioError, match=r"t\.csv:2: begins_at says 2024-03-31 02:30:00, an hour that clocks"):
        read("file,begins_at\na.wav,2024-03-31T02:30:00\n", "Europe/Berlin")


NAMES = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=examples(100))
@given(
    st.dictionaries(
        NAMES.map(lambda name: "x/" + name.strip().replace("..", "")),
        st.datetimes(datetime(1991, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001  # of the zone below
        min_size=1,
        max_size=5,
    )
)
def test_what_a_program_writes_is_what_is_read(times: dict[str, datetime]) -> None:
    zone = timezone(-timedelta(hours=3, minutes=30))
    expected = {file.strip(): time.replace(tzinfo=zone) for file, time in times.items()}
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["file", "begins_at"])
    writer.writerows((file, time.isoformat()) for file, time in expected.items())
    assert read(text.getvalue()) == expected


@settings(max_examples=examples(200))
@given(st.binary(max_size=60) | st.text(st.sampled_from('file,begins_at\n\r"2024-:TZ'), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(EdgeaudioError) as caught:
        read(b"file,begins_at\n" + content)
    assert "\n" not in str(caught.value)
