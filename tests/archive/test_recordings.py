"""Finding recordings: in an order that is the same each time, with keys and parts that are stable."""

import errno
import os
import socket
import struct
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import RATE, START, found, record, record_in_parts, thuds
from support.media import sine, write_media

from edgeaudio.archive.finished import Finished
from edgeaudio.archive.lengths import length_of
from edgeaudio.archive.plans import Plan, plan
from edgeaudio.archive.recordings import LeftOut, Recording
from edgeaudio.archive.runs import WHOLE, Shard
from edgeaudio.errors import EdgeaudioError

NAMES = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1, max_size=20)
RECORDINGS = st.builds(
    Recording, NAMES, st.just("/x"), st.integers(0, 1 << 40), st.integers(0, 1 << 62), st.just(START), st.none()
)


@given(RECORDINGS, RECORDINGS)
def test_a_key_is_of_path_size_time_of_change_and_beginning(one, other):
    same = (one.path, one.size_bytes, one.changed_ns) == (other.path, other.size_bytes, other.changed_ns)
    assert (one.key == other.key) == same
    later = replace(one, begins_at=one.begins_at + timedelta(hours=1))
    assert later.key != one.key
    assert later.key.is_at_another_time(one.key)


@given(RECORDINGS, st.integers(1, 50))
def test_every_recording_is_in_one_part_whatever_becomes_of_it(recording, count):
    parts = [index for index in range(count) if Shard(index, count).has(recording)]
    changed = Recording(recording.path, "/y", 1, 2, START + timedelta(days=1), None)
    assert parts == [index for index in range(count) if Shard(index, count).has(changed)]
    assert len(parts) == 1


def test_keys_and_parts_are_those_of_yesterday():
    recording = Recording("site/20240131_120000.WAV", "/x", 1000, 1_700_000_000_000_000_000, START, None)
    assert str(recording.key) == "fb8d88da066113cc156c3d8e4fb26b8b1ca7" + "0" * 16
    assert recording.path_hash % 40 == 12


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path):
    record(tmp_path / "a", thuds(1))
    record(tmp_path / "b" / "c", thuds(1))
    recordings = [each for each in found(tmp_path) if isinstance(each, Recording)]
    assert [each.path for each in recordings] == ["a/20240131_120000.WAV", "b/c/20240131_120000.WAV"]
    assert len({each.key for each in recordings}) == 2


def test_what_is_no_recording_is_passed_by_and_what_cannot_be_read_is_named(tmp_path):
    record(tmp_path, thuds(1))
    (tmp_path / "notes.txt").write_text("of the site")
    (tmp_path / "._20240131_120000.WAV").write_bytes(b"macOS")
    (tmp_path / "holiday.wav").write_bytes((tmp_path / "20240131_120000.WAV").read_bytes())
    (tmp_path / "20240131_130000.WAV").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path)
    left_out = {each.path: each.error for each in found(tmp_path) if isinstance(each, LeftOut)}
    assert left_out == {
        "20240131_130000.WAV": "cannot be read: No such file or directory",
        "holiday.wav": left_out["holiday.wav"],
    }
    assert "--begins" in left_out["holiday.wav"]
    assert [each.path for each in found(tmp_path) if isinstance(each, Recording)] == ["20240131_120000.WAV"]


def test_a_pattern_keys_recordings_by_the_folder_before_it(tmp_path):
    record(tmp_path / "a" / "x", thuds(1))
    record(tmp_path / "b" / "x", thuds(1))
    (one, other) = found(f"{tmp_path}/*/x/*.WAV")
    assert [one.path, other.path] == ["a/x/20240131_120000.WAV", "b/x/20240131_120000.WAV"]
    whole = [each for each in found(tmp_path) if isinstance(each, Recording)]
    assert isinstance(one, Recording)
    assert one.key == whole[0].key


def test_a_pattern_passes_by_what_is_no_recording_and_takes_an_ending_that_is_written_out(tmp_path):
    whole = record(tmp_path / "a", thuds(1)).read_bytes()
    for name in ("._20240131_120000.WAV", "CONFIG.TXT", "Thumbs.db", "20240131_130000.SD0"):
        (tmp_path / "a" / name).write_bytes(whole)
    assert [each.path for each in found(f"{tmp_path}/*/*")] == ["a/20240131_120000.WAV"]
    assert [each.path for each in found(f"{tmp_path}/*/*.*")] == ["a/20240131_120000.WAV"]
    assert [each.path for each in found(f"{tmp_path}/*/*.SD0")] == ["a/20240131_130000.SD0"]


def test_a_pattern_that_leads_back_is_one_line(tmp_path):
    with pytest.raises(EdgeaudioError, match=r"cannot have \.\. behind"):
        found(f"{tmp_path}/*/../*")


def test_a_folder_that_a_pattern_cannot_look_into_costs_no_other_and_is_named(tmp_path):
    for name in ("a", "c", "c/d"):
        record(tmp_path / name, thuds(1))
    (tmp_path / "b").symlink_to("b")  # a folder that nobody may look into, root neither
    why = f"cannot be looked into: {os.strerror(errno.ELOOP)}"
    file = "20240131_120000.WAV"
    assert [(each.path, getattr(each, "error", None)) for each in found(f"{tmp_path}/*/*.WAV")] == [
        ("b", why),
        (f"a/{file}", None),
        (f"c/{file}", None),
    ]
    everywhere = [f"a/{file}", f"c/{file}", f"c/d/{file}"]
    assert [each.path for each in found(f"{tmp_path}/**")] == everywhere
    assert [each.path for each in found(f"{tmp_path}/**/**/*")] == everywhere
    assert [each.path for each in found(f"{tmp_path}/[!b]/d/2*")] == [f"c/d/{file}"]
    assert [each.path for each in found(f"{tmp_path}/[ac]/{file}")] == [f"a/{file}", f"c/{file}"]


@pytest.mark.parametrize("pattern", ["", "/**"])
def test_folders_are_looked_into_to_some_depth_and_the_rest_is_named(pattern, tmp_path):
    (tmp_path / "/".join("a" * 500)).mkdir(parents=True)
    (left_out,) = found(f"{tmp_path}{pattern}")
    assert isinstance(left_out, LeftOut)
    assert left_out.error == "cannot be looked into: it is more than 200 folders deep; name one of those in it"


def test_a_pattern_too_long_for_a_name_matches_nothing(tmp_path):
    assert found(f"{tmp_path}/*{'x' * 300}") == []


def test_pipes_devices_and_sockets_are_named_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "20240131_120000.WAV")  # opening it would wait for ever
    (tmp_path / "20240131_130000.WAV").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "20240131_140000.WAV"))
    assert [(each.path[9:11], each.error) for each in found(tmp_path) if isinstance(each, LeftOut)] == [
        (hour, "is no regular file") for hour in ("12", "13", "14")
    ]


def test_a_link_to_itself_costs_no_recording_beside_it(tmp_path):
    record(tmp_path / "a", thuds(1))
    (tmp_path / "a" / "round").symlink_to("round")
    (tmp_path / "a" / "20240131_130000.WAV").symlink_to("20240131_130000.WAV")
    why = os.strerror(errno.ELOOP)
    assert [(each.path, getattr(each, "error", None)) for each in found(tmp_path)] == [
        ("a/20240131_130000.WAV", f"cannot be read: {why}"),
        ("a/20240131_120000.WAV", None),
        ("a/round", f"cannot be looked into: {why}"),
    ]


@pytest.mark.parametrize(
    ("folder", "line"), [(b"\xe9t\xe9", "no UTF-8; rename it"), (b"new\nline", "a line break in it; rename it")]
)
def test_names_that_no_result_can_hold_are_named_before_anything_is_heard(folder, line, tmp_path):
    record(tmp_path / os.fsdecode(folder), thuds(1))
    (left_out,) = found(tmp_path)
    assert isinstance(left_out, LeftOut)
    assert line in left_out.error


def test_a_root_with_a_line_break_is_one_line(tmp_path):
    record(tmp_path / "new\nline", thuds(1))
    with pytest.raises(EdgeaudioError, match="has a line break; rename it") as error:
        found(tmp_path / "new\nline")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["gone", "gone/*.wav", "a\0b", "x" * 300])
def test_a_folder_that_is_not_there_is_one_line(target, tmp_path):
    with pytest.raises(EdgeaudioError, match=r"cannot be looked into: .*; name a folder of recordings"):
        found(f"{tmp_path}/{target}")


def test_recordings_that_follow_are_neighbours_and_others_are_gaps_or_overlaps(tmp_path):
    record_in_parts(tmp_path, thuds(30), 10, 20)
    record(tmp_path, thuds(10), START + timedelta(seconds=35))
    record(tmp_path, thuds(10), START + timedelta(seconds=40))
    recordings = [each for each in found(tmp_path) if isinstance(each, Recording)]
    assert [(each.before is not None, each.after is not None) for each in recordings] == [
        (False, True), (True, True), (True, False), (False, False), (False, False)
    ]  # fmt: skip
    sums = Plan()
    breaks = [
        (each.seconds, each.after)
        for each in plan(recordings, Finished(()), WHOLE, sums)
        if not isinstance(each, LeftOut)
    ]
    assert breaks == [(5, "20240131_120035.WAV"), (-5, "20240131_120040.WAV")]
    assert (sums.total.recordings, sums.total.seconds, sums.gap_s, sums.overlap_s) == (5, 50, 5, 5)


def breaks_of(folder):
    recordings = [each for each in found(folder) if isinstance(each, Recording)]
    return recordings, [
        (each.before, each.after, each.seconds)
        for each in plan(recordings, Finished(()), WHOLE, Plan())
        if not isinstance(each, LeftOut)
    ]


@pytest.mark.parametrize(
    "folders",
    [
        ("a/2024-01-31", "a/2024-02-01"),
        ("2024-01-31/a", "2024-02-01/a"),
        ("2024/01/31/23", "2024/02/01/00"),
        ("a_20240131", "a_20240201"),
    ],
)
def test_recordings_are_neighbours_gaps_and_overlaps_over_folders_by_date_too(folders, tmp_path):
    midnight = START.replace(hour=0) + timedelta(days=1)
    before, after = (tmp_path / folder for folder in folders)
    record(before, thuds(10), midnight - timedelta(seconds=10))
    record(after, thuds(10), midnight)
    recordings, breaks = breaks_of(tmp_path)
    assert [(each.before is None, each.after is None) for each in recordings] == [(True, False), (False, True)]
    assert breaks == []
    record(after, thuds(10), midnight)
    for seconds in (5, -5):
        for file in after.iterdir():
            file.unlink()
        record(before, thuds(10 - seconds), midnight - timedelta(seconds=10))
        record(after, thuds(10), midnight)
        recordings, breaks = breaks_of(tmp_path)
        assert [each.after or each.before for each in recordings] == [None, None]
        assert breaks == [(recordings[0].path, recordings[1].path, seconds)]


@pytest.mark.parametrize(
    "folders",
    [
        ("a", "b"),
        ("01", "02"),
        ("31", "01"),
        ("2024-01-31/a", "2024-02-01/b"),
        ("2024-01-31/01", "2024-02-01/02"),
        ("a/2024-01-31", "b/2024-02-01"),
        ("SM4-20240131", "SM4-20240202"),
        ("20240131", "20240131-2"),
    ],
)
def test_recorders_in_folders_beside_each_other_are_not_joined(folders, tmp_path):
    midnight = START.replace(hour=0) + timedelta(days=1)
    for folder, begins_at in zip(folders, (midnight - timedelta(seconds=10), midnight), strict=True):
        record(tmp_path / folder, thuds(10), begins_at)
    recordings, breaks = breaks_of(tmp_path)
    assert len(recordings) == 2
    assert all(each.before is None and each.after is None for each in recordings)
    assert breaks == []


def test_a_recorder_beside_another_one_is_neither_gap_nor_overlap(tmp_path):
    for serial in ("5146", "5147"):
        for minute in (0, 1):
            file = record(tmp_path / "new", thuds(60))
            file.rename(tmp_path / f"{serial}.24013112{minute:02}00.wav")
    recordings = [each for each in found(tmp_path) if isinstance(each, Recording)]
    assert list(plan(recordings, Finished(()), WHOLE, Plan())) == []
    assert [each.after is not None for each in recordings] == [True, True, False, False]


def test_another_sample_rate_does_not_follow(tmp_path):
    first = record(tmp_path, thuds(10))
    second = record(tmp_path, thuds(10), START + timedelta(seconds=10))
    content = bytearray(second.read_bytes())
    content[24:28] = (2 * RATE).to_bytes(4, "little")
    second.write_bytes(content)
    assert first.is_file()
    assert all(isinstance(each, Recording) and each.after is None for each in found(tmp_path))


@pytest.mark.parametrize(
    ("codec", "ending"), [("pcm_s16le", "wav"), ("pcm_s24le", "wav"), ("pcm_f32le", "wav"), ("flac", "flac")]
)
def test_the_header_gives_the_length(codec, ending, tmp_path):
    path = tmp_path / f"sound.{ending}"
    write_media(path, codec, sine(100, 8000, 1.25, channels=2), 8000)
    length = length_of(path, path.stat().st_size)
    assert length is not None
    assert (length.n_samples, length.form, length.seconds) == (10_000, (8000, 2), 1.25)


@given(st.binary(max_size=200), st.integers(0, 44))
def test_no_header_makes_it_fail(tmp_path_factory, content, keep):
    path = tmp_path_factory.getbasetemp() / "header.wav"
    whole = record(tmp_path_factory.getbasetemp() / "whole", np.zeros(10)).read_bytes()
    path.write_bytes(whole[:keep] + content)
    length = length_of(path, path.stat().st_size)
    assert length is None or 0 <= length.n_samples <= len(content)


def test_a_header_of_more_than_4_gib_gives_the_length_though_a_comment_follows(tmp_path):
    path = tmp_path / "sound.wav"
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 0, 2000, 1000, 0)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 1000, 2000, 2, 16)
    head = b"RF64\xff\xff\xff\xffWAVE" + sizes + form + b"data\xff\xff\xff\xff"
    path.write_bytes(head + bytes(2000) + b"guan" + struct.pack("<I", 100) + bytes(100))
    length = length_of(path, path.stat().st_size)
    assert length is not None
    assert length.seconds == 1.0


def test_a_length_that_cannot_be_told_is_none(tmp_path):
    blocks = tmp_path / "blocks.wav"  # of ADPCM: a block of bytes is many samples
    write_media(blocks, "adpcm_ms", sine(100, 8000, 1.25), 8000)
    assert length_of(blocks, blocks.stat().st_size) is None
    centuries = tmp_path / "centuries.flac"
    write_media(centuries, "flac", sine(100, 8000, 1.25), 8000)
    content = bytearray(centuries.read_bytes())
    content[18:26] = (1 << 44 | 1 << 35).to_bytes(8, "big")  # 1 Hz, 2^35 samples
    centuries.write_bytes(content)
    assert length_of(centuries, centuries.stat().st_size) is None
