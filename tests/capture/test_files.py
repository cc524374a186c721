"""Recordings: every codec, rate and layout; and files that are broken, cut off or hostile."""

import os
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.media import sine, write_media
from support.sources import MEDIA_START, hear, pitch_hz, purity

from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Reason

# codec, its file, rate in Hz, bit rate
CODECS = [
    ("pcm_alaw", "a.wav", 8000, None),
    ("pcm_mulaw", "a.au", 8000, None),
    ("g726", "a.wav", 8000, 32000),
    ("pcm_s16be", "a.aiff", 44100, None),
    ("pcm_s24le", "a.wav", 96000, None),
    ("pcm_f32le", "a.wav", 192000, None),
    ("pcm_u8", "a.wav", 11025, None),
    ("flac", "a.flac", 192000, None),
    ("aac", "a.m4a", 48000, 128000),
    ("aac", "a.aac", 16000, 64000),
    ("libopus", "a.ogg", 48000, 64000),
    ("libmp3lame", "a.mp3", 22050, 64000),
    ("ac3", "a.mp4", 48000, 192000),
]


@pytest.mark.parametrize(("codec", "file", "rate", "bit_rate"), CODECS)
def test_every_codec_is_heard_at_its_own_rate(
    codec: str, file: str, rate: int, bit_rate: int | None, tmp_path: Path
) -> None:
    path = tmp_path / file
    write_media(path, codec, sine(1000, rate, 2.0), rate, bit_rate=bit_rate)
    heard = hear(str(path), media=True)
    assert heard.seconds == pytest.approx(2.0, abs=0.15)  # lossy codecs pad their frames
    assert {block.sample_rate for block in heard.blocks} == {rate}
    assert heard.connection.info.sample_rate == rate
    assert heard.epochs == [0]
    assert pitch_hz(heard.samples, rate) == pytest.approx(1000, abs=2)
    assert purity(heard.samples[rate // 2 : -rate // 2]) > 0.99
    assert np.abs(heard.samples).max() == pytest.approx(0.5, abs=0.06)


def test_vorbis(tmp_path: Path) -> None:
    # FFmpeg's own encoder counts as experimental and knows two channels only
    path = tmp_path / "a.ogg"
    write_media(path, "vorbis", sine(1000, 44100, 2.0, channels=2), 44100, encoder_options={"strict": "-2"})
    heard = hear(str(path), media=True)
    assert heard.connection.info.codec == "vorbis"
    assert pitch_hz(heard.samples[:, 0], 44100) == pytest.approx(1000, abs=2)
    assert heard.epochs == [0]


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 8])
def test_every_channel_is_heard(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(500, 16000, 1.0, channels=channels), 16000)
    heard = hear(str(path), media=True)
    assert heard.connection.info.channels == channels
    samples = heard.samples.reshape(-1, channels)
    np.testing.assert_allclose(samples.T, sine(500, 16000, 1.0, channels=channels), atol=1e-4)


def test_a_channel_that_is_not_there_is_told_with_the_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(500, 16000, 0.5, channels=2), 16000)
    with pytest.raises(
        SourceError, match=r"channel 3 is asked for, and the stream has 2; set channel to 1\.\.2 or 'mix'"
    ):
        hear(str(path), media=True, channel=3)


def test_times_of_a_recording_are_those_of_the_medium(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_media(path, "flac", sine(500, 16000, 3.0), 16000)
    began = time.monotonic()
    heard = hear(str(path), media=True)
    assert time.monotonic() - began < 2.0  # not played
    assert heard.blocks[0].at == MEDIA_START
    for block in heard.blocks:
        assert (block.at - MEDIA_START).total_seconds() == pytest.approx(block.offset / 16000, abs=1e-5)


def test_without_media_time_a_recording_is_played(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(500, 8000, 1.0), 8000)
    began = time.monotonic()
    heard = hear(str(path))
    assert time.monotonic() - began == pytest.approx(1.0, abs=0.3)
    span = (heard.blocks[-1].at - heard.blocks[0].at).total_seconds()
    assert span == pytest.approx(heard.blocks[-1].offset / 8000, abs=0.05)


def test_video_is_not_in_the_way_and_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_media(path, "aac", sine(1000, 48000, 2.0), 48000, video=True)
    heard = hear(str(path), media=True)
    assert pitch_hz(heard.samples, 48000) == pytest.approx(1000, abs=2)
    assert [(track.kind, track.codec) for track in heard.connection.info.tracks] == [
        ("video", "mpeg4"),
        ("audio", "aac"),
    ]
    assert heard.connection.info.track == 1


def test_a_change_of_rate_and_channels_in_mid_stream_begins_an_epoch(tmp_path: Path) -> None:
    parts = []
    for rate, channels in ((16000, 1), (48000, 2)):
        part = tmp_path / f"{rate}.aac"
        write_media(part, "aac", sine(1000, rate, 1.0, channels=channels), rate, bit_rate=96000)
        parts.append(part.read_bytes())
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(parts))
    heard = hear(str(path), media=True, channel=1)
    rates = {block.epoch: block.sample_rate for block in heard.blocks}
    assert list(rates.values()) == [16000, 48000]
    assert heard.connection.info.sample_rate == 48000
    assert heard.connection.info.channels == 2
    for epoch, rate in rates.items():
        sound = np.concatenate([block.samples for block in heard.blocks if block.epoch == epoch])
        assert pitch_hz(sound.reshape(len(sound), -1)[:, 0], rate) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("container", ["aac", "ts"])
def test_each_format_within_a_stream_is_one_epoch(container: str, tmp_path: Path) -> None:
    formats = [(16000, 1), (44100, 2), (48000, 1), (16000, 2), (44100, 1)]
    parts = []
    for number, (rate, channels) in enumerate(formats):
        part = tmp_path / f"{number}.{container}"
        write_media(part, "aac", sine(1000, rate, 4.0, channels=channels), rate, bit_rate=32000)
        parts.append(part.read_bytes())
    path = tmp_path / f"all.{container}"
    path.write_bytes(b"".join(parts))
    heard = hear(str(path), media=True)
    lengths_s: dict[int, float] = {}
    for block in heard.blocks:
        lengths_s[block.epoch] = lengths_s.get(block.epoch, 0.0) + block.duration_s
    assert list(lengths_s.values()) == pytest.approx([4.0] * len(formats), abs=0.3)


def test_nan_and_infinity_become_silence_and_are_counted(tmp_path: Path) -> None:
    samples = sine(1000, 16000, 1.0)
    samples[0, 100:200] = np.nan
    samples[0, 300] = np.inf
    path = tmp_path / "nan.wav"
    write_media(path, "pcm_f32le", samples, 16000)
    heard = hear(str(path), media=True)
    assert heard.connection.blocks.broken_samples == 101
    assert np.all(heard.samples[100:200] == 0)


def test_all_silence_is_sound_too(tmp_path: Path) -> None:
    path = tmp_path / "zero.wav"
    write_media(path, "pcm_s16le", np.zeros((1, 8000), np.float32), 8000)
    assert not hear(str(path), media=True).samples.any()


CUT = [
    ("pcm_s16le", "a.wav"), ("pcm_s24le", "a.wav"), ("pcm_alaw", "a.wav"), ("g726", "a.wav"), ("flac", "a.flac"),
    ("pcm_s16be", "a.aiff"), ("pcm_s16be", "a.au"), ("pcm_s16le", "a.caf"), ("pcm_s16le", "a.w64"), ("aac", "a.mp4"),
    ("alac", "a.mov"), ("libmp3lame", "a.mp3"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "file"), CUT)
def test_a_file_that_is_cut_off_is_heard_to_its_end_and_then_told(codec: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    rate = 8000 if codec == "g726" else 16000
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 4 * rate)).astype(np.float32)
    index_first = {"movflags": "faststart"} if file in {"a.mp4", "a.mov"} else None
    write_media(path, codec, noise, rate, options=index_first)
    whole = path.read_bytes()
    assert hear(str(path), media=True).seconds == pytest.approx(4.0, abs=0.1)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"cut off after [12]\.\d s of [34]\.\d s") as caught:
        hear(str(path), media=True)
    assert caught.value.reason is Reason.INVALID_DATA


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFFF000])
def test_a_length_that_the_writer_could_not_fill_in_says_nothing(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(channels=1, rate=16000, data=np.arange(32000, dtype="<i2").tobytes(), data_size=size))
    assert hear(str(path), media=True).seconds == pytest.approx(2.0)


def test_a_header_that_announces_less_sound_than_there_is_is_told(tmp_path: Path) -> None:
    sound = np.arange(1, 32001, dtype="<i2").tobytes()
    short = _wav(channels=1, rate=16000, data=sound, data_size=16000)
    whole = _wav(channels=1, rate=16000, data=sound)
    path = tmp_path / "a.wav"
    path.write_bytes(short)
    with pytest.raises(SourceError, match=r"announces 0\.5 s in its header, and 1\.5 s more follow unheard"):
        hear(str(path), media=True)
    # a chunk, what an editor hangs on without one, and zeros of a disk's cluster are no sound
    for tail in (struct.pack("<4sI", b"LIST", 60_000) + bytes(60_000), b"\xff\xfe" * 500, bytes(60_000)):
        path.write_bytes(whole + tail)
        assert hear(str(path), media=True).seconds == pytest.approx(2.0)


def test_a_byte_rate_that_is_wrong_shortens_no_sound(tmp_path: Path) -> None:
    content = bytearray(_wav(channels=1, rate=16000, data=np.arange(32000, dtype="<i2").tobytes()))
    content[28:32] = (1000).to_bytes(4, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert hear(str(path), media=True).seconds == pytest.approx(2.0)


def test_a_film_whose_picture_is_longer_than_its_sound_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_media(path, "aac", sine(1000, 16000, 2.0), 16000, video=True, video_s=5.0)
    heard = hear(str(path), media=True)
    assert heard.connection.info.duration_s == pytest.approx(5.0, abs=0.3)
    assert heard.seconds == pytest.approx(2.0, abs=0.15)


def test_a_file_without_its_index_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    write_media(path, "aac", sine(1000, 16000, 4.0), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(str(path)) is Reason.INVALID_DATA


def refusal(url: str) -> Reason:
    with pytest.raises(SourceError) as caught:
        hear(url, media=True, open_timeout_s=3, read_timeout_s=3)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_files_that_are_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "text.wav"
    text.write_text("RIFF is what this file does not hold")
    silent = tmp_path / "silent.mp4"
    write_media(silent, "aac", sine(1000, 16000, 0.5), 16000, video=True, sound=False)
    assert refusal(str(tmp_path / "none.wav")) is Reason.NOT_FOUND
    assert refusal(str(tmp_path)) is Reason.NOT_FOUND
    assert refusal(str(empty)) is Reason.INVALID_DATA
    assert refusal(str(text)) is Reason.INVALID_DATA
    assert refusal(str(silent)) is Reason.NO_AUDIO_TRACK


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {target}\n"),
        ("list.txt", "ffconcat version 1.0\nfile secret.wav\n"),
        ("s.sdp", "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"),
    ],
)
def test_a_file_leads_to_no_other_file_and_no_network(name: str, content: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    write_media(secret, "pcm_s16le", sine(1000, 16000, 1.0), 16000)
    (tmp_path / name).write_text(content.format(target=secret))
    assert refusal(str(tmp_path / name)) is Reason.INVALID_DATA


def test_tags_in_an_old_encoding_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    write_media(path, "libmp3lame", sine(1000, 16000, 0.5), 16000)
    text = b"\x00" + "Käuzchen".encode("latin-1")
    tag = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    broken = b"\xfc\xffK\xe4uz"  # no valid text in any encoding that the frame could claim
    tag += b"TPE1" + (len(broken) + 1).to_bytes(4, "big") + b"\0\0\x03" + broken
    path.write_bytes(b"ID3\x03\0\0" + bytes([0, 0, 0, len(tag)]) + tag + path.read_bytes())
    assert hear(str(path), media=True).seconds > 0.4


def test_names_that_mean_something_to_ffmpeg_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-", "50%d.wav", "a b;c.wav"):
        write_media(f"file:{name}", "pcm_s16le", sine(1000, 8000, 0.3), 8000, container="wav")
        assert hear(name, media=True).seconds == pytest.approx(0.3)


def test_a_named_pipe_is_refused_rather_than_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="named pipe") as caught:
        hear(str(tmp_path / "pipe"))
    assert caught.value.reason is Reason.INVALID_DATA


@pytest.mark.parametrize("rate", [1, 2, 999, 1_000_001, 2_147_483_647])
def test_a_sample_rate_that_no_sound_has_is_refused(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_media(path, "pcm_s16le", sine(500, 16000, 0.5), 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    content[28:32] = min(2 * rate, 0xFFFFFFFF).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"1 channels? at {rate} Hz") as caught:
        hear(str(path), media=True)
    assert caught.value.reason is Reason.INVALID_DATA


def test_more_channels_than_any_microphone_array_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(channels=1000, rate=16000, data=bytes(2000 * 50)))
    assert refusal(str(path)) is Reason.INVALID_DATA


def _wav(*, channels: int, rate: int, data: bytes, data_size: int | None = None) -> bytes:
    """A WAV file of 16-bit PCM; `data_size` is what its header says of the length, where that is not the truth."""
    size = len(data) if data_size is None else data_size
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    riff = struct.pack("<4sI4s", b"RIFF", min(36 + size, 0xFFFFFFFF), b"WAVE")
    return riff + head + struct.pack("<4sI", b"data", size) + data


@pytest.mark.parametrize("pictures", [True, False])
def test_a_sound_track_that_begins_late_is_dated_late(pictures: bool, tmp_path: Path) -> None:
    path = tmp_path / "late.mov"
    samples = sine(1000, 16000, 2.0)
    write_media(path, "pcm_s16le", samples, 16000, video=pictures, video_s=10.0, begin_s=7.0)
    heard = hear(str(path), media=True)
    assert (heard.blocks[0].at - MEDIA_START).total_seconds() == pytest.approx(7.0, abs=0.1)
    assert heard.seconds == pytest.approx(2.0, abs=0.1)


def test_a_piece_of_a_longer_recording_begins_at_its_own_beginning(tmp_path: Path) -> None:
    path = tmp_path / "piece.mp4"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "use_editlist": "0"}
    write_media(path, "aac", sine(1000, 16000, 2.0), 16000, begin_s=3600.0, options=options)
    heard = hear(str(path), media=True)
    assert (heard.blocks[0].at - MEDIA_START).total_seconds() == pytest.approx(0.0, abs=0.1)


PIPED = [
    ("pcm_s16le", "a.wav", {}), ("flac", "a.flac", {}), ("aac", "a.aac", {}), ("libopus", "a.ogg", {}),
    ("aac", "a.mp4", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}), ("aac", "a.mkv", {}),
    ("pcm_s16be", "a.aiff", {}), ("pcm_s16be", "a.au", {}), ("libmp3lame", "a.mp3", {}), ("aac", "a.ts", {}),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "file", "options"), PIPED)
def test_a_pipe_loses_nothing_of_what_is_written_to_it(
    codec: str, file: str, options: dict[str, str], tmp_path: Path
) -> None:
    path, fifo = tmp_path / file, tmp_path / "pipe"
    rate = 48000 if codec == "libopus" else 16000
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 20 * rate)).astype(np.float32)
    write_media(
        path, codec, noise, rate, bit_rate=None if codec.startswith(("pcm", "flac")) else 64000, options=options
    )
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(path.read_bytes()))
    writer.start()
    try:
        heard = hear(str(fifo), media=True)
    finally:
        writer.join(10)
    assert heard.seconds == pytest.approx(20.0, abs=0.3)
    assert heard.epochs == [0]
