"""Networks take the features they are made for, and begin where they should."""

from dataclasses import replace

import numpy as np
import pytest

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import clip_features

MFCC = FeatureConfig("mfcc", 16_000, n_fft=1024, hop_length=320, n_mels=64, n_mfcc=40, fmin=50.0, mel_scale="htk")


@pytest.fixture
def spectrum_network():
    """The function, imported with TensorFlow where a test runs: not by each worker that collects."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    from tools.training import networks  # noqa: PLC0415 - TensorFlow

    return networks.spectrum_network


def log_mels(n_frames):
    """Smooth spectra that wander, as those of sounds do."""
    rng = np.random.default_rng(5)
    return (np.cumsum(rng.normal(size=(n_frames, 64)), axis=1) * 5 - 30).astype(np.float32)


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_mfcc_begin_as_the_mel_bands_they_were_made_of(spectrum_network):
    bands = log_mels(197)
    mfcc = clip_features(bands, MFCC)
    config = replace(MFCC, mean=tuple(mfcc.mean(axis=0).tolist()), std=tuple(mfcc.std(axis=0).tolist()))
    network, scoring = spectrum_network(config, 197, 14)
    weights, bias = network.get_layer("mel_bands").get_weights()
    again = clip_features(bands, config) @ weights[0, 0] + bias
    assert np.corrcoef(again.ravel(), bands.ravel())[0, 1] > 0.99
    assert again.mean() == pytest.approx(0.0, abs=1e-3)
    assert 0.5 < again.std() < 2.0
    clip = clip_features(bands, config)[None]
    logits, scores = np.asarray(network(clip)), np.asarray(scoring(clip))
    assert scores == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-5), "the same weights"


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_what_a_teacher_says_is_answered_in_training_alone(spectrum_network):
    config = FeatureConfig("log_mel", 16_000, n_fft=512, hop_length=320, n_mels=16)
    network, scoring = spectrum_network(config, 30, 3, n_taught=7)
    clip = np.ones((1, 30, 16), np.float32)
    logits, scores = np.asarray(network(clip)), np.asarray(scoring(clip))
    assert logits.shape == (1, 10)
    assert scores == pytest.approx(1 / (1 + np.exp(-logits[:, :3])), abs=1e-5), "the same weights"
    _, untaught = spectrum_network(config, 30, 3)
    assert scoring.count_params() == untaught.count_params()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("n_frames", "n_mels"), [(197, 64), (30, 16), (5, 8)])
@pytest.mark.slow
def test_any_shape_of_log_mels_will_do(spectrum_network, n_frames, n_mels):
    config = FeatureConfig("log_mel", 16_000, n_fft=512, hop_length=320, n_mels=n_mels)
    network, _ = spectrum_network(config, n_frames, 3)
    assert np.asarray(network(np.zeros((2, n_frames, n_mels), np.float32))).shape == (2, 3)
    assert network.count_params() < 250_000
