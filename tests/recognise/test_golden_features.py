"""edgeaudio's features against the numbers of the libraries that models are trained with (golden/make.py)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features

GOLDEN = Path(__file__).parent / "golden"
LIBRARIES = ("librosa", "torchaudio", "tf_signal", "tf_ops", "kaldi", "psf")
TOLERANCE = 1e-3  # dB, or units of a coefficient
RELATIVE = 1e-6  # coefficients without norm are in the thousands, where float32 counts in steps of this


def _cases() -> Iterator[Any]:
    for library in LIBRARIES:
        with np.load(GOLDEN / f"{library}.npz") as file:
            for key in file.files:
                if key.endswith(".config"):
                    case = key.removesuffix(".config")
                    yield pytest.param(json.loads(str(file[key])), file[f"{case}.result"], id=f"{library}-{case}")


CASES = list(_cases())


@pytest.fixture(scope="module")
def sound():
    with np.load(GOLDEN / "signal.npz") as file:
        return (file["samples"] / 32768).astype(np.float32)


@pytest.mark.parametrize(("config", "expected"), CASES)
def test_the_same_numbers(config, expected, sound):
    config = FeatureConfig(**config)
    result = features(sound, config)
    assert result.shape == expected.shape == (config.n_frames(len(sound)), config.n_features)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=RELATIVE, atol=TOLERANCE)


@pytest.mark.parametrize(("config", "expected"), CASES)
def test_the_same_numbers_in_a_stream(config, expected, sound):
    """The clip in the middle of a longer signal, its frames computed across clips."""
    config = FeatureConfig(**config)
    lead = 7 * config.hop_length
    signal = np.concatenate([np.linspace(0.3, -0.3, lead, dtype=np.float32), sound])
    period_s = config.hop_length / config.sample_rate
    cutter = ClipCutter(ClipConfig(config.sample_rate, len(sound), period_s, config), gate_dbfs=-200.0)
    pieces = np.array_split(signal, range(0, len(signal), 999))
    cuts = {cut.start: cut.values for piece in pieces for cut in cutter.feed(piece)}
    assert sorted(cuts) == [i * config.hop_length for i in range(8)]
    streamed = cuts[lead]
    assert streamed is not None
    np.testing.assert_allclose(streamed, expected, rtol=RELATIVE, atol=TOLERANCE)
