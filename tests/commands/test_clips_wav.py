"""Clips exported as WAV: sound decoded from what a clip may be in, and refused where it is something else."""

from __future__ import annotations

import subprocess
import sys
import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.clip_sounds import fitted, put_wave, renamed
from support.clips import put_clip
from support.media import sine, write_media
from support.programs import AS_ROOT, require_program

from edgeaudio import cli
from edgeaudio.clips.library import Clip
from edgeaudio.clips.record import ClipFormat

AT = datetime(2026, 11, 30, 10, 19, tzinfo=UTC)


def put_encoded(
    folder: Path, event_id: str, codec: ClipFormat, rate: int, channels: int = 1
) -> tuple[Clip, np.ndarray]:
    """Write a clip of a tone; return it, and its samples `(n, channels)`."""
    samples = sine(440, rate, 7, channels=channels)
    clip = renamed(put_clip(folder, event_id, AT), f".{codec}")
    encoder, container = {"flac": ("flac", "flac"), "opus": ("libopus", "ogg"), "wav": ("pcm_f32le", "wav")}[codec]
    write_media(clip.sound, encoder, samples, rate, container=container)
    return fitted(clip, samples.T, rate, codec), samples.T


def export(folder: Path, out: Path, *arguments: str) -> int:
    return cli.main(["clips", "export", "--folder", str(folder), "--layout", "raven", *arguments, str(out)])


def read_wave(file: Path) -> tuple[wave._wave_params, np.ndarray]:
    """Return the format, and the samples `(n, channels)` from -1 to 1."""
    with wave.open(str(file)) as sound:
        form = sound.getparams()
        octets = np.frombuffer(sound.readframes(form.nframes), np.uint8).reshape(-1, form.sampwidth)
    values = np.zeros((len(octets), 4), np.uint8)
    values[:, 4 - form.sampwidth :] = octets
    return form, values.view("<i4").reshape(-1, form.nchannels) / (1 << 31)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (22_050, 2), (192_000, 1)])
def test_flac_is_the_same_to_the_last_bit(tmp_path, rate, channels) -> None:
    clip, samples = put_encoded(tmp_path / "clips", "a", "flac", rate, channels)
    assert export(tmp_path / "clips", tmp_path / "out") == 0
    form, decoded = read_wave(tmp_path / "out" / clip.sound.with_suffix(".wav").name)
    assert (form.framerate, form.nchannels, form.sampwidth, form.nframes) == (rate, channels, 3, 7 * rate)
    # FFmpeg's encoder was given 16 bits, rounded
    assert np.abs(decoded - samples).max() <= 1 / (1 << 15)
    assert np.array_equal(decoded * (1 << 15), np.rint(decoded * (1 << 15)))


def test_opus_has_as_many_samples_as_its_record_says(tmp_path) -> None:
    clip, _ = put_encoded(tmp_path / "clips", "a", "opus", 48_000)
    assert export(tmp_path / "clips", tmp_path / "out") == 0
    form, decoded = read_wave(tmp_path / "out" / clip.sound.with_suffix(".wav").name)
    assert (form.framerate, form.nframes) == (48_000, 7 * 48_000)
    assert np.sqrt(np.mean(decoded[4800:-4800] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_wav_stays_as_it_is_and_original_decodes_nothing(tmp_path) -> None:
    clip, _ = put_encoded(tmp_path / "clips", "a", "wav", 48_000)
    other, _ = put_encoded(tmp_path / "clips", "b", "opus", 48_000)
    assert export(tmp_path / "clips", tmp_path / "wav") == 0
    assert (tmp_path / "wav" / clip.sound.name).read_bytes() == clip.sound.read_bytes()
    assert export(tmp_path / "clips", tmp_path / "same", "--format", "original") == 0
    assert (tmp_path / "same" / other.sound.name).read_bytes() == other.sound.read_bytes()


@pytest.mark.parametrize(
    ("claimed", "why"),
    [
        ({"sample_rate": 44_100}, "has 1 channel at 16000 Hz, and its record says 1 channel at 44100 Hz"),
        ({"channels": 2}, "has 1 channel at 16000 Hz, and its record says 2 channels at 16000 Hz"),
        ({"count": 100_000}, "has another length than its record says, which is 100000 samples"),
        ({"count": 200_000}, "has another length than its record says, which is 200000 samples"),
        ({"count": 1 << 50}, "is too long for WAV; export it as it is"),
    ],
)
def test_sound_that_is_not_what_its_record_says_is_left_out(tmp_path, capsys, claimed, why) -> None:
    folder, out = tmp_path / "clips", tmp_path / "out"
    clip, samples = put_encoded(folder, "a", "flac", 16_000)
    record = clip.record.model_copy(update={"sound": clip.record.sound.model_copy(update=claimed)})
    clip.file.write_text(record.to_json())
    assert export(folder, out) == 2
    captured = capsys.readouterr()
    assert captured.err == f"edgeaudio: {clip.sound}: {why}\n"
    assert captured.out == f"{out}: 0 clips exported; 1 left out\n"
    assert list(out.iterdir()) == []
    assert len(samples) == 7 * 16_000


def test_sound_that_cannot_be_decoded_is_one_line(tmp_path, capsys) -> None:
    folder = tmp_path / "clips"
    clip, samples = put_encoded(folder, "a", "flac", 16_000)
    clip.sound.write_bytes(b"no sound" * 1000)
    fitted(clip, samples, 16_000, "flac")
    assert export(folder, tmp_path / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_ends_the_export_with_one_line(tmp_path) -> None:
    unshare = require_program("unshare")
    out = tmp_path / "out"
    out.mkdir()
    for number in range(4):
        put_wave(tmp_path / "clips", f"a-{number}", AT)  # 224 kB each
    command = f"{sys.executable} -m edgeaudio clips export --folder {tmp_path}/clips --layout audacity {out}"
    script = f"mount -t tmpfs -o size=500k none {out} && {command}; echo status $?; ls -A {out}"
    done = subprocess.run(
        [unshare, "-m", *AS_ROOT, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    (error,) = done.stderr.splitlines()
    assert error.endswith("cannot be written: No space left on device; nothing more is exported")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"{out}: 2 clips exported; 1 left out", "status 2"]
    assert len(lines[2:]) == 4  # two sounds and their label tracks, no half file
