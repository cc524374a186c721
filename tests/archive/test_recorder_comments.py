"""What recorders write into WAV and FLAC files is read from the right chunk, whatever the sizes in the file say."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.programs import require_program
from support.wave_files import write_wave

from edgeaudio.archive.recorder_comments import time_in_audiomoth_comment, time_in_file, time_in_guano
from edgeaudio.archive.sound_chunks import MAX_BYTES, MAX_CHUNKS, MAX_TOTAL_BYTES
from edgeaudio.archive.written_times import StartTimeError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CLOCK = datetime(2024, 12, 10, 19, 17, 30)  # noqa: DTZ001  # a recorder's
COMMENT = "Recorded at 19:17:30 10/12/2024 (UTC+1) by AudioMoth 24F31903603D5A5F at medium gain while battery was 4.2V."
GUANO = "GUANO|Version:1.0\nMake:Open Acoustic Devices\nTimestamp:2024-12-10T19:17:30+01:00\n"
CET = timezone(timedelta(hours=1))
FORMAT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16))
SOUND = (b"data", b"\x01guanLIST" * 1000)  # what looks like chunks, in it


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.ranges: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        content = super().read(size)
        self.ranges.append((at, at + len(content)))
        return content


def chunk(name: bytes, content: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    stated = len(content) if size is None else size
    return name + struct.pack("<I", stated) + content + (b"\0" if pad and len(content) % 2 else b"")


def riff(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", 0xFFFFFFFF if form != b"RIFF" else len(body)) + body


def info(**items: str) -> bytes:
    content = b"".join(chunk(name.encode(), text.encode() + b"\0") for name, text in items.items())
    return chunk(b"LIST", b"INFO" + content)


def flac_block(kind: int, content: bytes, *, last: bool = False) -> bytes:
    return bytes([kind | (0x80 if last else 0)]) + len(content).to_bytes(3, "big") + content


def vorbis(*fields: str) -> bytes:
    packed = [struct.pack("<I", len(text.encode())) + text.encode() for text in ("reference libFLAC", *fields)]
    return packed[0] + struct.pack("<I", len(fields)) + b"".join(packed[1:])


def flac(*blocks: tuple[int, bytes]) -> bytes:
    last = len(blocks) - 1
    packed = [flac_block(kind, content, last=index == last) for index, (kind, content) in enumerate(blocks)]
    return b"fLaC" + b"".join(packed) + b"\xff\xf8" * 100


def read(content: bytes) -> datetime | None:
    written = time_in_file(io.BytesIO(content), NOW)
    return None if written is None else written.time


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("(UTC) ", UTC),
        ("(UTC+1) ", CET),
        ("(UTC-11) ", timezone(-timedelta(hours=11))),
        ("(UTC+5:30) ", timezone(timedelta(hours=5, minutes=30))),
        ("(UTC-3:30) ", timezone(-timedelta(hours=3, minutes=30))),
        ("(UTC-0:30) ", timezone(-timedelta(minutes=30))),
        ("", UTC),  # the first firmware: by gmtime
    ],
)
@pytest.mark.parametrize("rest", ["by AudioMoth 24F31903603D5A5F at gain", "during deployment 24F31903603D5A5F at"])
def test_audiomoths_comment_is_the_clock_and_its_offset(zone: str, expected: timezone, rest: str) -> None:
    written = time_in_audiomoth_comment(f"Recorded at 19:17:30 10/12/2024 {zone}{rest}", NOW)
    assert written is not None
    assert (written.time, written.clock) == (CLOCK.replace(tzinfo=expected), CLOCK)


@pytest.mark.parametrize(
    "text", ["", "Recorded", "recorded at 19:17:30 10/12/2024 (UTC)", "Recorded at 9:17:30 10/12/2024 (UTC) by", "by"]
)
def test_another_comment_says_nothing(text: str) -> None:
    assert time_in_audiomoth_comment(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Recorded at 19:17:30 31/02/2024 (UTC) by", "2024-02-31 19:17:30 does not exist"),
        ("Recorded at 00:00:04 01/01/1970 (UTC) by", "was the recorder's clock set"),
        ("Recorded at 19:17:30 10/12/2024 (UTC+19) by", r"no place has the UTC offset \+19"),
    ],
)
def test_a_comment_with_an_impossible_time_is_refused(text: str, reason: str) -> None:
    with pytest.raises(StartTimeError, match=f"AudioMoth's comment in it: .*{reason}.*--begins"):
        time_in_audiomoth_comment(text, NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-12-10T19:17:30", CLOCK),
        ("2024-12-10 19:17:30", CLOCK),
        ("2024-12-10T19:17:30Z", CLOCK.replace(tzinfo=UTC)),
        ("2024-12-10T19:17:30+01:00", CLOCK.replace(tzinfo=CET)),
        ("2024-12-10 19:17:30.250-5:00", CLOCK.replace(microsecond=250_000, tzinfo=timezone(-timedelta(hours=5)))),
        ("2024-12-10T19:17:30.123456+0100", CLOCK.replace(microsecond=123_456, tzinfo=CET)),
        ("2024-12-10T19:17:30.123456789Z", CLOCK.replace(microsecond=123_456, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize(
    "form", ["Timestamp:{}", " Timestamp :  {} \r", "A: b\nTimestamp: {}\n\n\0\0", "\ufeffTimestamp:{}"]
)
def test_guanos_timestamp_is_read_in_all_its_forms(value: str, expected: datetime, form: str) -> None:
    written = time_in_guano(form.format(value), NOW)
    assert written is not None
    assert (written.time, written.time.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize("text", ["", "Timestamp:", "SB|Timestamp:2024-12-10T19:17:30", "Note: Timestamp", "x\0\xff"])
def test_guano_without_a_timestamp_says_nothing(text: str) -> None:
    assert time_in_guano(text, NOW) is None


@pytest.mark.parametrize(
    "value", ["noon", "2024-12-10", "2024-12-10T24:00:00", "2024-12-10T19:17:30+25:00", "9" * 5000]
)
def test_a_timestamp_that_is_no_time_is_refused_in_one_short_line(value: str) -> None:
    with pytest.raises(StartTimeError, match=r"its GUANO.*--begins") as caught:
        time_in_guano(f"Timestamp:{value}", NOW)
    assert len(str(caught.value)) < 200


def test_two_timestamps_that_differ_are_refused() -> None:
    assert time_in_guano(2 * GUANO, NOW) is not None
    with pytest.raises(StartTimeError, match="has 2 timestamps, '2024-12-10T19:17:30' and '2024-12-10T19:17:31'"):
        time_in_guano("Timestamp:2024-12-10T19:17:30\nTimestamp:2024-12-10T19:17:31", NOW)


@pytest.mark.parametrize(
    "content",
    [
        riff(chunk(*FORMAT), chunk(*SOUND), chunk(b"guan", GUANO.encode())),
        riff(chunk(*FORMAT), info(ICMT=COMMENT), chunk(*SOUND)),
        riff(chunk(*FORMAT), info(IART="AudioMoth 24F31903603D5A5F", ICMT=COMMENT), chunk(*SOUND)),
        riff(chunk(b"odd ", b"123"), chunk(b"guan", GUANO.encode()), chunk(*SOUND)),
        riff(chunk(b"odd ", b"123", pad=False), chunk(b"guan", GUANO.encode()), chunk(*SOUND)),
        riff(info(IART="icListen HF #6661", ICRD="2024-12-10T18:17:30+00"), chunk(*SOUND)),
        riff(chunk(b"wamd", struct.pack("<HIHHI", 0, 2, 1, 5, 25) + b"2024-12-10 19:17:30+01:00"), chunk(*SOUND)),
        riff(info(ICMT=COMMENT), chunk(*SOUND), chunk(b"guan", GUANO.encode())),
        riff(chunk(*FORMAT), info(ICMT=COMMENT), b"data\0\0\0\0"),
        riff(chunk(b"guan", GUANO.encode(), size=1 << 31)),  # cut off
        flac((0, bytes(34)), (4, vorbis("ARTIST=x", f"comment={COMMENT}"))),
        flac((4, vorbis(f"DESCRIPTION={COMMENT}")), (1, bytes(100))),
        flac((4, vorbis("SensorUid=1", "RecordingStart=2024-12-10T19:17:30+01:00"))),
        flac((2, b"riffRIFF\0\0\0\0WAVE"), (2, b"riff" + chunk(b"guan", GUANO.encode())), (1, b"")),
        flac((2, b"riff" + info(ICMT=COMMENT))),
    ],
)
def test_each_recorders_chunk_is_found(content: bytes) -> None:
    assert read(content) == CLOCK.replace(tzinfo=CET)


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
def test_a_file_of_more_than_4_gib_is_passed_over_by_its_64_bit_size(form: bytes) -> None:
    size = 5 << 30
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0))
    head = riff(ds64, chunk(*FORMAT), b"data" + struct.pack("<I", 0xFFFFFFFF), form=form)

    class Large(Counted):
        """As if `size` bytes of sound lay between the two ends."""

        def seek(self, offset: int, whence: int = 0, /) -> int:
            if whence == 2:
                return super().seek(0, 2) + size
            assert not len(head) < offset < len(head) + size, "in the sound"
            return super().seek(offset if offset <= len(head) else offset - size)

    file = Large(head + chunk(b"guan", GUANO.encode()))
    written = time_in_file(file, NOW)
    assert written is not None
    assert written.time == CLOCK.replace(tzinfo=CET)


def test_the_sound_is_never_read() -> None:
    before = riff(chunk(*FORMAT), info(ICMT=COMMENT))
    content = before + chunk(*SOUND) + chunk(b"guan", GUANO.encode())
    file = Counted(content)
    assert time_in_file(file, NOW) is not None
    sound = range(len(before) + 8, len(before) + 8 + len(SOUND[1]))
    assert not [(start, stop) for start, stop in file.ranges if start < sound.stop and stop > sound.start]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0AVI LIST",
        b"fLaC",
        b"OggS" + bytes(100),
        riff(chunk(*FORMAT), chunk(*SOUND)),
        riff(chunk(*FORMAT), b"data\xff\xff\xff\xff" + SOUND[1]),  # a writer that never came back
        riff(info(ICRD="2024-12-10")),  # when the file was made
        riff(chunk(b"wamd", struct.pack("<HI", 5, 0))),
        flac((2, b"riff"), (2, b""), (4, b""), (4, b"\xff\xff\xff\xff"), (127, b"x")),
        flac((4, vorbis("no equals sign"))),
        flac((0, bytes(34)))[:42] + flac_block(4, vorbis(f"COMMENT={COMMENT}")),  # after the last block: frames
    ],
)
def test_another_file_says_nothing(content: bytes) -> None:
    assert read(content) is None


def test_chunks_that_disagree_are_refused_and_both_are_named() -> None:
    content = riff(info(ICMT=COMMENT), chunk(b"guan", GUANO.replace("19:17:30", "19:17:40").encode()))
    with pytest.raises(StartTimeError, match=r"AudioMoth's comment in it says .*:30.*its GUANO .*:40.*--begins"):
        read(content)


def test_a_chunk_with_a_zone_counts_more_than_one_without() -> None:
    local = chunk(b"guan", b"Timestamp:2024-12-10 19:17:30\n")
    wamd = chunk(b"wamd", struct.pack("<HI", 5, 25) + b"2024-12-10 19:17:30+01:00")
    assert read(riff(local, wamd)) == read(riff(wamd, local)) == CLOCK.replace(tzinfo=CET)


@pytest.mark.parametrize(
    ("one", "copies"),
    [
        (chunk(b"LIST", b""), 3 * MAX_CHUNKS),
        (chunk(b"guan", b""), 3 * MAX_CHUNKS),
        (chunk(b"guan", b"x" * MAX_BYTES), 40),
        (chunk(b"guan", b"x" * 2 * MAX_TOTAL_BYTES), 1),
    ],
    ids=["lists", "empty", "full", "large"],
)
def test_a_file_of_nothing_but_chunks_is_left_after_some(one: bytes, copies: int) -> None:
    file = Counted(riff(one * copies))
    assert time_in_file(file, NOW) is None
    assert len(file.ranges) <= 2 * MAX_CHUNKS + 1
    assert sum(stop - start for start, stop in file.ranges) <= MAX_TOTAL_BYTES + MAX_BYTES


WHOLE = [
    riff(chunk(*FORMAT), info(IART="AudioMoth 1", ICMT=COMMENT), chunk(*SOUND), chunk(b"guan", GUANO.encode())),
    riff(chunk(b"wamd", struct.pack("<HI", 5, 19) + b"2024-12-10 19:17:30"), chunk(b"ds64", bytes(28)), form=b"RF64"),
    flac((0, bytes(34)), (2, b"riff" + info(ICMT=COMMENT)), (4, vorbis(f"COMMENT={COMMENT}"))),
]


@settings(max_examples=examples(400))
@given(
    whole=st.sampled_from(WHOLE),
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4),
    cut=st.none() | st.floats(0, 1),
)
def test_a_damaged_file_says_a_time_or_nothing_or_is_refused_in_one_line(
    whole: bytes, damage: Sequence[tuple[float, bytes]], cut: float | None
) -> None:
    content = bytearray(whole)
    for place, other in damage:
        at = int(place * min(len(content), 400))  # headers are there
        content[at : at + len(other)] = other
    file = Counted(bytes(content if cut is None else content[: int(cut * len(content))]))
    try:
        written = time_in_file(file, NOW)
        reason = ""
    except StartTimeError as error:
        written, reason = None, str(error)
    assert "\n" not in reason
    assert written is None or 1990 <= written.time.year <= 2027
    assert sum(stop - start for start, stop in file.ranges) <= 2 * len(whole) + 100


@settings(max_examples=examples(200))
@given(st.datetimes(datetime(1990, 1, 1), datetime(2027, 12, 31)), st.integers(-48, 56))  # noqa: DTZ001  # clocks
def test_what_a_recorder_writes_is_what_is_read(clock: datetime, quarters: int) -> None:
    aware = clock.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    hours, minutes = divmod(abs(quarters) * 15, 60)
    offset = f"{'-' if quarters < 0 else '+'}{hours}" + (f":{minutes:02}" if minutes else "") if quarters else ""
    comment = f"Recorded at {aware:%H:%M:%S %d/%m/%Y} (UTC{offset}) by AudioMoth 1"
    both = riff(info(ICMT=comment), chunk(b"guan", f"Timestamp:{aware.isoformat()}".encode()))
    assert read(both) == aware


@pytest.mark.parametrize(
    "command",
    [
        ["flac", "--silent", "--keep-foreign-metadata", "a.wav"],
        ["ffmpeg", "-loglevel", "error", "-nostdin", "-i", "a.wav", "a.flac"],
    ],
    ids=["flac", "ffmpeg"],
)
def test_an_audiomoths_comment_survives_in_flac(tmp_path: Path, command: list[str]) -> None:
    plain = write_wave(tmp_path / "a.wav", np.zeros(4800), 48000)
    plain.write_bytes(riff(info(ICMT=COMMENT), plain.read_bytes()[12:]))
    subprocess.run([require_program(command[0]), *command[1:]], check=True, cwd=tmp_path, timeout=60)
    with (tmp_path / "a.flac").open("rb") as file:
        written = time_in_file(file, NOW)
    assert written is not None
    assert written.time == CLOCK.replace(tzinfo=CET)
