"""The resampler: pass band, stop band, times, and that splitting the input changes nothing."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.resample import Resampler, _ratio

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192_000)


def resampled(samples, from_hz, to_hz):
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


def tone(frequency_hz, rate_hz, n):
    return np.sin(2 * np.pi * frequency_hz * np.arange(n) / rate_hz).astype(np.float32)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (48000, 16000), (8000, 16000), (16000, 44100), (96000, 22050)]
)
def test_the_passband_is_flat_and_keeps_its_time(from_hz, to_hz):
    """Each output sample is the input's value at its time, from 10 Hz to 0.89 of the lower Nyquist frequency."""
    lower = min(from_hz, to_hz) / 2
    for frequency_hz in (10.0, *np.linspace(0.05, 0.89, 12) * lower):
        result = resampled(tone(frequency_hz, from_hz, from_hz), from_hz, to_hz)
        expected = tone(frequency_hz, to_hz, len(result))
        inside = slice(to_hz // 20, -to_hz // 20)
        assert np.max(np.abs(result - expected)[inside]) < 0.0116  # 0.1 dB
        if frequency_hz < 0.8 * lower:
            assert np.max(np.abs(result - expected)[inside]) < 2e-4


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 16000), (48000, 16000), (192_000, 48000), (44100, 8000)])
def test_frequencies_above_the_lower_nyquist_are_removed(from_hz, to_hz):
    for frequency_hz in np.linspace(1.0, 0.999 * from_hz / to_hz, 23) * to_hz / 2:
        # a cosine, since a sine at exactly the Nyquist frequency would be sampled at its zeros
        wave = np.cos(2 * np.pi * frequency_hz * np.arange(from_hz) / from_hz).astype(np.float32)
        result = resampled(wave, from_hz, to_hz)[to_hz // 20 : -to_hz // 20]
        assert np.sqrt(np.mean(result**2)) < 1e-4 / np.sqrt(2)  # 80 dB


def test_a_constant_stays_what_it_is():
    result = resampled(np.full(44100, 0.7, dtype=np.float32), 44100, 16000)
    np.testing.assert_allclose(result[200:-200], 0.7, atol=1e-6)


@pytest.mark.integration  # it takes seconds
def test_times_do_not_drift():
    """After two minutes a tone is still in phase."""
    resampler, position, worst = Resampler(44100, 16000), 0, 0.0
    for second in range(120):
        phase = (440.0 * np.arange(44100) / 44100) % 1.0  # whole periods a second
        made = resampler.feed(np.sin(2 * np.pi * phase).astype(np.float32))
        index = position + np.arange(len(made))
        position += len(made)
        if second > 0:
            worst = max(worst, float(np.max(np.abs(made - np.sin(2 * np.pi * ((440.0 * index / 16000) % 1.0))))))
    assert worst < 1e-4
    assert position == pytest.approx(120 * 16000, abs=1000)


def test_an_awkward_ratio_is_approximated_and_reported():
    resampler = Resampler(44056, 16000)
    ratio = resampler.input_per_output
    assert float(ratio) == pytest.approx(44056 / 16000, rel=5e-6)
    assert ratio.denominator <= 640
    wave = tone(1000.0, 44056, 44056)
    made = np.concatenate([resampler.feed(wave), resampler.flush()])
    expected = np.sin(2 * np.pi * 1000.0 * np.arange(len(made)) * float(ratio) / 44056)
    np.testing.assert_allclose(made[500:-500], expected[500:-500], atol=2e-4)


@pytest.mark.parametrize("from_hz", [8001, 11025, 15999, 18900, 37800, 44056, 47952, 95999, 250_000, 384_000])
def test_no_ratio_is_off_by_a_thousandth(from_hz):
    for to_hz in RATES:
        ratio = _ratio(from_hz, to_hz)
        assert float(ratio) == pytest.approx(from_hz / to_hz, rel=1e-3)
        assert ratio.numerator <= 2560
        assert ratio.denominator <= 640


def test_the_usual_rates_are_exact():
    usual = (8000, 16000, 22050, 32000, 44100, 48000, 96000, 192_000)
    for from_hz in usual:
        for to_hz in usual:
            assert _ratio(from_hz, to_hz) == Fraction(from_hz, to_hz) or to_hz > 8 * from_hz


def test_equal_rates_pass_samples_through():
    resampler = Resampler(16000, 16000)
    samples = tone(440.0, 16000, 100)
    assert resampler.feed(samples) is samples
    assert len(resampler.flush()) == 0


@settings(max_examples=examples(40))
@given(
    from_hz=st.sampled_from(RATES),
    to_hz=st.sampled_from(RATES),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    seed=st.integers(0, 9),
)
def test_splitting_the_input_changes_nothing(from_hz, to_hz, cuts, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, 4000).astype(np.float32)
    whole = resampled(samples, from_hz, to_hz)
    resampler = Resampler(from_hz, to_hz)
    pieces = [resampler.feed(piece) for piece in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*pieces, resampler.flush()]), whole)


def test_one_sample_at_a_time():
    samples = np.random.default_rng(0).uniform(-1, 1, 3000).astype(np.float32)
    resampler = Resampler(44100, 16000)
    pieces = [resampler.feed(samples[i : i + 1]) for i in range(len(samples))]
    np.testing.assert_array_equal(np.concatenate([*pieces, resampler.flush()]), resampled(samples, 44100, 16000))


@given(st.integers(0, 5000), st.sampled_from(RATES), st.sampled_from(RATES))
def test_the_length_is_the_input_s(n, from_hz, to_hz):
    result = resampled(np.zeros(n, dtype=np.float32), from_hz, to_hz)
    assert len(result) == ceil(n / Resampler(from_hz, to_hz).input_per_output)
    assert result.dtype == np.float32


@pytest.mark.integration  # it takes seconds
def test_a_latency_under_50_ms():
    """The delay after a feed is below this bound at any rates."""
    for from_hz in RATES:
        for to_hz in RATES:
            resampler = Resampler(from_hz, to_hz)
            made = resampler.feed(np.zeros(from_hz, dtype=np.float32))
            assert len(made) > 0.95 * to_hz
