"""Textures made up: each has what its label is told by."""

import numpy as np
import pytest

from tools.synth.texture_sounds import TEXTURES, clock_tick, fire_crackling, helicopter, rain, sea_waves

RATE = 16_000
SEEDS = range(5)


def levels_db(samples, piece_s):
    """RMS of pieces."""
    size = round(piece_s * RATE)
    pieces = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    return 10 * np.log10(np.mean(pieces**2, axis=1) + 1e-12)


@pytest.mark.parametrize("label", TEXTURES)
def test_every_texture_is_finite_and_as_long_as_asked_and_made_again(label):
    for seed in SEEDS:
        samples, again = (TEXTURES[label](2.5, RATE, np.random.default_rng(seed)) for _ in range(2))
        assert samples.dtype == np.float32
        assert samples.shape == (round(2.5 * RATE),)
        assert np.isfinite(samples).all()
        assert samples.any()
        np.testing.assert_array_equal(samples, again)


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_goes_on_and_waves_come_and_go(seed):
    steady = levels_db(rain(20.0, RATE, np.random.default_rng(seed)), 1.0)
    waves = levels_db(sea_waves(20.0, RATE, np.random.default_rng(seed)), 0.25)
    assert np.ptp(steady) < 12
    assert np.ptp(waves) > 6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fire_is_made_of_crackles(seed):
    samples = fire_crackling(5.0, RATE, np.random.default_rng(seed))
    high = np.diff(samples)
    assert np.max(np.abs(high)) > 6 * np.std(high), "noise alone has no such peaks"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_blades_of_a_helicopter_beat(seed):
    levels = levels_db(helicopter(5.0, RATE, np.random.default_rng(seed)), 0.01)
    spectrum = np.abs(np.fft.rfft((levels - levels.mean()) * np.hanning(len(levels))))
    frequency_hz = np.fft.rfftfreq(len(levels), 0.01)
    # a half of the rate where one blade is louder than the other; a multiple where thumps are short
    assert 4 < frequency_hz[np.argmax(spectrum * (frequency_hz > 1))] < 50
    assert spectrum.max() > 5 * np.median(spectrum)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clock_ticks_evenly(seed):
    levels = levels_db(clock_tick(8.0, RATE, np.random.default_rng(seed)), 0.01)
    ticks = np.maximum(0, levels - levels.max() + 30)
    likeness = np.correlate(ticks, ticks, "full")[len(ticks) :] / (ticks @ ticks)
    # from tick to tick, or from tick to tick over the tock
    assert likeness[15:230].max() > 0.6
