"""Which recordings are one recorder's: those that only a date tells apart."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edgeaudio.archive.name_patterns import PATTERNS, without_time
from edgeaudio.archive.recorders import recorders_of, spans_folders

DAY = datetime(2024, 1, 1, tzinfo=UTC)
TIMES = st.integers(978_307_200, 2_114_380_800).map(lambda at_s: datetime.fromtimestamp(at_s, UTC))
# no digits, so that they are no part of a date; and names of recorders that look like one
RECORDERS = st.text("abcXYZ", min_size=1, max_size=5) | st.sampled_from(["01", "02", "31", "SM4-01", "SM4-02", "2"])
LAYOUTS = st.sampled_from(
    [
        "{recorder}/%Y-%m-%d",
        "{recorder}/%Y%m%d",
        "{recorder}/%Y/%m/%d",
        "{recorder}/%Y/%m/%d/%H",
        "{recorder}/%Y%m/%d",
        "%Y-%m-%d/{recorder}x",
        "%Y/%m-%d/x{recorder}",
        "{recorder}_%Y%m%d",
        "{recorder}/%y%m%d",
    ]
)
NAMES = st.sampled_from(
    ["%Y%m%d_%H%M%S.WAV", "S_%Y-%m-%dT%H-%M-%S.flac", "5146.%y%m%d%H%M%S.wav", "%Y%m%dT%H%M%SZ.wav"]
)


def recorder_of(layout, recorder, name, at):
    """Return the recorder of the one recording of a folder."""
    return recorders_of(at.strftime(layout).format(recorder=recorder), [(at.strftime(name), at)])[0]


@given(LAYOUTS, NAMES, RECORDERS, RECORDERS, TIMES, TIMES)
@example("{recorder}/%Y-%m-%d", "%Y%m%d_%H%M%S.WAV", "01", "02", DAY, DAY + timedelta(days=1))
def test_dates_do_not_tell_recorders_apart_and_all_else_does(layout, name, one, other, at, later):
    assert recorder_of(layout, one, name, at) == recorder_of(layout, one, name, later)
    assert spans_folders(recorder_of(layout, one, name, at))
    assume(one != other)
    assert recorder_of(layout, one, name, at) != recorder_of(layout, other, name, later)


@given(st.lists(RECORDERS, max_size=3), RECORDERS, TIMES, TIMES, NAMES)
def test_folders_without_a_date_are_recorders(above, folder, at, later, name):
    path = "/".join([*above, folder])
    same = recorders_of(path, [(each.strftime(name), each) for each in (at, later)])
    assert same[0] == same[1]
    assert not spans_folders(same[0])


def test_a_number_is_no_date_if_a_recording_of_the_folder_is_not_of_it():
    at = datetime(2024, 1, 31, 23, 59, tzinfo=UTC)
    names = [(f"{each:%Y%m%d_%H%M%S}.WAV", each) for each in (at, at + timedelta(minutes=1))]
    for folder in ("2024/01", "2024-01-31", "20240131_23"):
        assert spans_folders(recorders_of(folder, names[:1])[0])
        assert recorders_of(folder, names)[0].startswith("2024") == (folder != "2024/01")
    assert recorders_of("2024/01", names)[0] == "\0\0\0\0/01/#.WAV"


@pytest.mark.parametrize("pattern", [each for each in PATTERNS if each.refused is None], ids=lambda each: each.name)
def test_the_time_of_each_pattern_is_taken_out(pattern):
    rest, clock = without_time(pattern.example)
    assert rest.count("#") == 1
    assert "59" not in rest
    assert clock == ("" if pattern.name in {"AudioMoth, hexadecimal", "seconds since 1970"} else "20240131235959")
