"""Recordings are read as the agent would hear them, and what cannot be read is named."""

from pathlib import Path

import numpy as np
import pytest

from edgeaudio.errors import EdgeaudioError
from tools.training.recordings import Recording, read_audio, read_folder, through, without_padding, write_wav

RATE = 8_000


def a_tone(length_s=0.5, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(length_s * rate)) / rate)).astype(np.float32)


def test_what_was_written_is_read_back(tmp_path):
    write_wav(tmp_path / "a.wav", a_tone(), RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", RATE), a_tone(), atol=1e-4)


def test_another_rate_is_resampled(tmp_path):
    write_wav(tmp_path / "a.wav", a_tone(), RATE)
    samples = read_audio(tmp_path / "a.wav", 16_000)
    assert len(samples) == 8_000
    np.testing.assert_allclose(samples[1_000:7_000], a_tone(rate=16_000)[1_000:7_000], atol=5e-3)


def test_a_folder_gives_labels_and_folds_and_drops_padding(tmp_path):
    for name in ("dog/1-100-A.wav", "rain/3-7-B.wav", "rain/take_2.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_wav(tmp_path / name, np.concatenate([a_tone(), np.zeros(RATE, dtype=np.float32)]), RATE)
    recordings = read_folder(tmp_path, RATE)
    assert [(r.label, r.fold) for r in recordings] == [("dog", 1), ("rain", 3), ("rain", None)]
    assert all(len(r.samples) <= len(a_tone()) for r in recordings)


def test_a_narrow_stream_leaves_the_low_tones_and_the_time():
    time_s = np.arange(16_000) / 16_000
    low, high = (0.5 * np.sin(2 * np.pi * hz * time_s).astype(np.float32) for hz in (440, 6_000))
    heard = through(Recording(Path("a.wav"), "both", low + high), 8_000, 16_000)
    assert (heard.label, len(heard.samples)) == ("both", 16_000)
    np.testing.assert_allclose(heard.samples[2_000:14_000], low[2_000:14_000], atol=5e-3)


def test_silence_is_left_whole():
    assert len(without_padding(np.zeros(10, dtype=np.float32))) == 10


def test_a_file_that_is_no_audio_is_named(tmp_path):
    (tmp_path / "a.wav").write_text("nothing of the kind")
    with pytest.raises(EdgeaudioError, match=r"a\.wav: no audio that can be decoded"):
        read_audio(tmp_path / "a.wav", RATE)


def test_a_file_without_samples_is_named(tmp_path):
    write_wav(tmp_path / "a.wav", np.empty(0, dtype=np.float32), RATE)
    with pytest.raises(EdgeaudioError, match=r"a\.wav: holds no audio"):
        read_audio(tmp_path / "a.wav", RATE)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(EdgeaudioError, match="no recordings there"):
        read_folder(tmp_path, RATE)
