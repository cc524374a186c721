"""The micro front end against the numbers of the original (golden/make.py), to the last bit."""

from pathlib import Path

import numpy as np
import pytest
from support.tflite import MICRO

from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.recognise.micro_frontend import MicroFrontend

with np.load(Path(__file__).parent / "golden" / "micro_frontend.npz") as _file:
    GOLDENS = {
        key.removesuffix(".result"): (_file[key.replace("result", "samples")], _file[key])
        for key in _file.files
        if key.endswith(".result")
    }


def samples_of(name):
    return GOLDENS[name][0] / np.float32(32768)


@pytest.mark.parametrize("name", GOLDENS)
def test_every_feature_equals_the_original_to_the_last_bit(name):
    rows = MicroFrontend(MICRO).rows(samples_of(name))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, GOLDENS[name][1])


@pytest.mark.parametrize("n_frames", [1, 3, 7, 64, 65])
def test_frames_are_the_same_however_many_are_computed_at_once(n_frames):
    frontend, samples = MicroFrontend(MICRO), samples_of("levels")
    rows = [
        frontend.rows(samples[at : at + (n_frames - 1) * 160 + 480]) for at in range(0, len(samples), n_frames * 160)
    ]
    whole = GOLDENS["levels"][1]
    np.testing.assert_array_equal(np.concatenate(rows)[: len(whole)], whole)


def test_less_than_a_frame_makes_no_features():
    assert MicroFrontend(MICRO).rows(np.zeros(479, np.float32)).shape == (0, 40)


def test_samples_beyond_full_scale_are_those_of_full_scale():
    loud = samples_of("speech") * np.float32(1e4)
    rows = MicroFrontend(MICRO).rows(loud)
    np.testing.assert_array_equal(rows, MicroFrontend(MICRO).rows(np.clip(loud, -1, 32767 / 32768)))


def test_bands_without_a_bin_are_silent():
    narrow = FeatureConfig(
        "micro_frontend", 16000, n_fft=512, win_length=480, win_align="start", hop_length=160, n_mels=2, fmin=101.0,
        fmax=102.0,
    )  # fmt: skip
    assert not MicroFrontend(narrow).rows(samples_of("levels")).any()


def test_clips_that_are_given_whole_begin_without_noise():
    """As micro_speech's are trained: every clip knows its own noise alone."""
    samples = samples_of("levels")
    cutter = ClipCutter(ClipConfig(16000, 4800, 0.1, MICRO), gate_dbfs=-300)
    clips = [clip for piece in np.array_split(samples, 7) for clip in cutter.feed(piece)]
    assert len(clips) == 8
    for clip in clips:
        expected = MicroFrontend(MICRO).rows(samples[clip.start : clip.stop])
        np.testing.assert_array_equal(clip.values, expected)
        np.testing.assert_array_equal(features(samples[clip.start : clip.stop], MICRO), expected)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"n_fft": 1024}, 'n_fft must be 512 with kind "micro_frontend"'),
        ({"win_length": 256}, 'win_length must be above 256 with kind "micro_frontend"'),
        ({"win_align": "centre"}, 'win_align must be "start" with kind "micro_frontend"'),
        ({"hop_length": 481}, 'hop_length must be at most win_length (480) with kind "micro_frontend"'),
        ({"fmax": 8000.0}, 'fmax must be below half the sample rate with kind "micro_frontend"'),
        ({"log": "ln"}, 'log does not go with kind "micro_frontend", which has its own'),
        ({"n_mels": 0}, "n_mels must be above 0"),
    ],
)
def test_what_it_does_not_compute_is_refused(change, problem):
    values = {name: getattr(MICRO, name) for name in MICRO.__slots__}
    with pytest.raises(ValueError, match=r"\w") as caught:
        FeatureConfig(**values | change)
    assert str(caught.value) == problem
