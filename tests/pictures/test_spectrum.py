"""The spectra and scales of pictures are those of recognition's features, and the palettes are as published."""

from __future__ import annotations

import numpy as np
import pytest

from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.palettes import palette
from edgeaudio.pictures.spectrum import Analysis
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.recognise.filters import hz_to_mel

RATE = 48_000


def test_powers_are_those_of_the_spectrogram_feature() -> None:
    samples = np.diff(np.random.default_rng(0).normal(0, 0.1, 6001)).astype(np.float32)  # almost no DC
    config = FeatureConfig(
        kind="spectrogram", sample_rate=RATE, n_fft=2048, win_length=1536, win_align="start", hop_length=500, log="none"
    )
    spectra = features(samples, config).astype(np.float64)
    analysis = Analysis(FrequencyAxis("linear", RATE / 2), 256, RATE)
    powers = analysis.powers(samples.reshape(-1, 1), 500, len(spectra))
    scale = 2 / (1536 / 2) ** 2  # the sum of a Hann window is half its length
    expected = spectra[:, :1024].reshape(len(spectra), 256, 4).max(axis=2) * scale
    expected[:, -1] = np.maximum(expected[:, -1], spectra[:, 1024] * scale)  # the bin at Nyquist
    assert powers[:, 1:] == pytest.approx(expected[:, 1:], rel=5e-3)  # DC, in the lowest row, is removed


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
@pytest.mark.parametrize("rate", [8000, 48_000, 192_000])
def test_a_sine_has_its_level_on_every_scale(scale, rate: int) -> None:
    time_s = np.arange(rate) / rate
    analysis = Analysis(FrequencyAxis(scale, rate / 2), 300, rate)
    for hz in (200.0, 1000.0, 3210.0):
        sine = np.sin(2 * np.pi * hz * time_s).astype(np.float32).reshape(-1, 1)
        level = 10 * np.log10(analysis.powers(sine, rate // 10, 5).max(axis=1))
        assert level == pytest.approx(np.full(5, -3.01), abs=2)  # less of a frequency between two bins


def test_mel_is_that_of_the_features() -> None:
    axis = FrequencyAxis("mel", 24_000)
    hz = np.linspace(0, 24_000, 100)
    assert axis.place(hz) == pytest.approx(hz_to_mel(hz, "htk") / hz_to_mel(24_000.0, "htk"))


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_places_lead_back_to_their_frequencies(scale) -> None:
    axis = FrequencyAxis(scale, 22_050)
    places = np.linspace(0, 1, 50)
    assert axis.place(axis.hz(places)) == pytest.approx(places)
    assert axis.hz(0.0) == pytest.approx(50.0 if scale == "log" else 0.0)
    assert axis.hz(1.0) == pytest.approx(22_050)


@pytest.mark.parametrize(
    ("name", "published"),  # entries 0, 64, 100, 128, 192 and 255 of the tables in bids/colormap
    [
        ("magma", [(0, 0, 4), (81, 18, 124), (137, 40, 129), (183, 55, 121), (252, 137, 97), (252, 253, 191)]),
        ("viridis", [(68, 1, 84), (59, 82, 139), (42, 118, 142), (33, 145, 140), (94, 201, 98), (253, 231, 37)]),
        ("inferno", [(0, 0, 4), (87, 16, 110), (144, 37, 104), (188, 55, 84), (249, 142, 9), (252, 255, 164)]),
        ("grey", [(255,) * 3, (191,) * 3, (155,) * 3, (127,) * 3, (63,) * 3, (0,) * 3]),
    ],
)
def test_palettes_are_as_published(name, published) -> None:
    assert np.abs(palette(name)[[0, 64, 100, 128, 192, 255]].astype(int) - np.array(published)).max() <= 1
