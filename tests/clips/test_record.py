"""The record of a clip: written, read again, and refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from edgeaudio.clips.record import FILE_NAME, ClipRecord, ClipRecordError, file_stem, read_record

STEM = "20261130T101900123Z_porch-dog_0a1b-2c"
CLIP = {
    "version": 1,
    "id": "0a1b-2c",
    "device": "garden",
    "source": "porch",
    "label": "Dog, <barks>/x:y",
    "score": 0.91,
    "members": {"home": 0.95, "yamnet": 0.8},
    "model": "home",
    "model_sha256": "0" * 64,
    "threshold": 0.5,
    "off_threshold": 0.3,
    "begin": "2026-11-30T10:18:57.123Z",
    "onset": "2026-11-30T10:19:00.123Z",
    "end": None,
    "before": {"asked_s": 3.0, "got_s": 3.0},
    "after": {"asked_s": 2.0, "got_s": 0.0},
    "sound": {
        "file": f"{STEM}.opus",
        "format": "opus",
        "bytes": 1000,
        "sample_rate": 48000,
        "channels": 1,
        "count": 240000,
        "onset": 144000,
        "offset": None,
    },
    "origin": {"sample_rate": 8000, "epoch": 2, "first": 16000},
    "gaps": [{"at": 100, "lost_s": 0.5}],
    "picture": f"{STEM}.webp",
    "written_by": "edgeaudio 0.1.0",
    "review": {"keep": False},
}


def changed(*path: str, value: object) -> bytes:
    clip = json.loads(json.dumps(CLIP))
    part = clip
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return json.dumps(clip).encode()


def test_a_record_is_read_as_it_was_written():
    record = read_record(json.dumps(CLIP).encode())
    assert json.loads(record.to_json()) == CLIP
    assert record.files == (f"{STEM}.opus", f"{STEM}.webp")


def test_a_record_of_before_the_off_threshold_was_in_it_is_read():
    older = {name: value for name, value in CLIP.items() if name != "off_threshold"}
    assert read_record(json.dumps(older).encode()).off_threshold is None


def test_what_a_later_version_adds_is_ignored():
    assert isinstance(read_record(changed("mood", value="cheerful")), ClipRecord)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("sound", "file"), "../../etc/passwd", "sound.file"),
        (("sound", "file"), f"{STEM}.opus\n", "sound.file"),
        (("picture",), "/etc/passwd", "picture"),
        (("id",), "a/b", "id"),
        (("id",), "", "id"),
        (("score",), 1.5, "score"),
        (("members",), {"home\n\x1b[31m": 1.5}, "^members: Input should be less than or equal to 1$"),
        (("members",), {"x" * 1000: 0.5}, "^members: String should have at most 200 characters$"),
        (("members",), {str(number): 0.5 for number in range(17)}, "members"),
        (("score",), float("nan"), "score"),
        (("version",), 2, "version"),
        (("begin",), "2026-11-30T10:18:57", "begin"),
        (("onset",), "0001-01-01T00:00:00+14:00", "onset"),
        (("onset",), "9999-12-31T23:59:59-14:00", "onset"),
        (("label",), "x" * 1000, "label"),
        (("sound", "count"), -1, "sound.count"),
        (("sound", "count"), 1 << 60, "sound.count"),
        (("gaps",), [{"at": 0, "lost_s": 0.1}] * 2000, "gaps"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str, ...], value: object, says: str):
    with pytest.raises(ClipRecordError, match=says) as caught:
        read_record(changed(*path, value=value))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version": 1}', b"[" * 100_000])
def test_no_other_file_is_a_record(content: bytes):
    with pytest.raises(ClipRecordError):
        read_record(content)


def test_a_file_of_any_size_is_refused_before_it_is_parsed():
    with pytest.raises(ClipRecordError, match="longer"):
        read_record(b" " * (1 << 20))


def test_names_are_portable():
    at = datetime(2026, 11, 30, 10, 19, 0, 123999, tzinfo=UTC)
    assert file_stem(at, "porch-dog", "0a1b-2c") == STEM
    assert FILE_NAME.fullmatch(f"{file_stem(at, 'x' * 100, 'a')}.flac")
