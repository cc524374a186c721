"""Audio files hold the samples that were written, at their positions; each is decoded again to see that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from support.sound_files import decoded

from edgeaudio.media.writer import AudioForm, AudioWriter
from edgeaudio.types import Samples

STEP = 2.0**-23  # of 24 bits


def noise(n: int, channels: int, seed: int = 0) -> Samples:
    """Quiet noise with 24 bits."""
    values = np.random.default_rng(seed).integers(-80_000, 80_000, (n, channels))
    return (values * STEP).astype(np.float32)


def target(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:  # closed meanwhile
        return None


def written(path: Path, form: AudioForm, samples: Samples, pieces: int = 7) -> int:
    writer = AudioWriter(path, form)
    for piece in np.array_split(samples, pieces):
        writer.write(piece)
    assert writer.written == len(samples)
    return writer.close()


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("rate", [8000, 44_100, 65_537, 96_000])
@pytest.mark.parametrize("wanted", ["flac", "wav"])
def test_flac_and_wav_hold_every_sample_as_it_came(tmp_path, wanted, rate, channels):
    form = AudioForm.of(wanted, rate, channels)
    assert (form.format, form.sample_rate) == (wanted, rate)
    sound = noise(rate // 3 + 11, channels)
    path = tmp_path / "sound"
    assert written(path, form, sound) == path.stat().st_size
    found, found_rate = decoded(path)
    assert found_rate == rate
    assert np.array_equal(found, sound)


@pytest.mark.parametrize(
    ("wanted", "rate", "channels", "format_"),
    [
        ("opus", 96_000, 1, "flac"),
        ("opus", 48_000, 3, "flac"),
        ("opus", 8000, 12, "wav"),
        ("flac", 192_000, 8, "wav"),
        ("flac", 1_000_000, 1, "wav"),
    ],
)
def test_what_a_format_cannot_hold_is_written_whole_in_the_next(tmp_path, wanted, rate, channels, format_):
    form = AudioForm.of(wanted, rate, channels)
    assert (form.format, form.sample_rate) == (format_, rate)
    sound = noise(rate // 10, channels)
    written(tmp_path / "sound", form, sound)
    assert np.array_equal(decoded(tmp_path / "sound")[0], sound)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_clicks_in_opus_are_found_within_a_millisecond_and_its_length_is_the_sounds(tmp_path, rate, channels):
    form = AudioForm.of("opus", rate, channels)
    sound = noise(rate + 137, channels) * np.float32(0.1)
    clicks = [0, round(0.31 * rate), len(sound) - 1 - rate // 50]
    sound[clicks] = 0.9
    written(tmp_path / "sound", form, sound)
    found, found_rate = decoded(tmp_path / "sound")
    assert found_rate == form.sample_rate == 48_000
    assert len(found) == form.count(len(sound))
    for click in clicks:
        begin = max(0, form.position(click) - 480)
        peak = begin + int(np.abs(found[begin : begin + 960, 0]).argmax())
        assert abs(peak - form.position(click)) <= 48


def test_samples_over_full_scale_are_clipped(tmp_path):
    sound = np.array([2.0, -2.0, 1.0, -1.0], np.float32)
    written(tmp_path / "sound", AudioForm.of("wav", 8000, 1), sound, pieces=1)
    assert decoded(tmp_path / "sound")[0].ravel().tolist() == [1 - STEP, -1.0, 1 - STEP, -1.0]


def test_sound_of_16_bits_takes_no_more_room_in_flac_for_having_24(tmp_path):
    sound = (np.random.default_rng(0).integers(-300, 300, (16_000, 1)) / 32768).astype(np.float32)
    assert written(tmp_path / "sound", AudioForm.of("flac", 16_000, 1), sound) < 16_000 * 11 / 8 * 1.05 + 10_000


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "sound"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        AudioWriter(path, AudioForm.of("wav", 8000, 1))
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("wanted", ["opus", "flac", "wav"])
def test_a_full_disk_is_an_oserror_and_the_writer_can_be_closed(tmp_path, monkeypatch, wanted):
    writer = AudioWriter(tmp_path / "sound", AudioForm.of(wanted, 8000, 1))
    real, room = os.write, [3000]

    def write(descriptor: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(data)
        return real(descriptor, data)

    monkeypatch.setattr("edgeaudio.media.writer.os.write", write)
    sound = noise(8000, 1) * 10

    def fill() -> None:
        for _ in range(100):
            writer.write(sound)
        writer.close()

    with pytest.raises(OSError, match="No space left"):
        fill()
    writer.abort()
    monkeypatch.undo()
    assert tmp_path / "sound" not in [target(link) for link in Path("/proc/self/fd").iterdir()]


def test_an_aborted_file_is_closed_and_left_to_its_maker(tmp_path):
    writer = AudioWriter(tmp_path / "sound", AudioForm.of("flac", 8000, 1))
    writer.write(noise(20_000, 1))
    writer.abort()
    writer.abort()
    assert (tmp_path / "sound").exists()
