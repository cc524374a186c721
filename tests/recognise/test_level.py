"""Levels of known sounds."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.level import LevelMeter

RATE = 8000
TIME_S = np.arange(RATE) / RATE


def reading(samples, rate=RATE):
    (found,) = LevelMeter(rate).feed(np.asarray(samples, dtype=np.float32))
    (level,) = found.channels
    return level


def test_a_full_scale_sine_is_at_minus_3_dbfs():
    level = reading(np.sin(2 * np.pi * 1025 * TIME_S))
    assert level.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert level.peak_dbfs == pytest.approx(0, abs=1e-3)
    assert level.hum_ratio < 0.001


@pytest.mark.parametrize("value", [0.0, 0.00024, -0.5])
def test_a_constant_is_digital_silence(value):
    level = reading(np.full(RATE, value))
    assert (level.rms_dbfs, level.peak_dbfs, level.clipped_ratio, level.hum_ratio) == (None, None, 0, 0)


def test_a_signal_stuck_at_full_scale_is_all_clipped():
    assert reading(np.full(RATE, -1.0)).clipped_ratio == 1.0


def test_clipping_is_counted():
    samples = 0.1 * np.sin(2 * np.pi * 1000 * TIME_S)
    samples[:80] = 32767 / 32768
    samples[80:160] = -1.0
    assert reading(samples).clipped_ratio == 0.02


@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.9, 60.1])
def test_mains_hum_is_measured(mains_hz):
    hum = sum(np.sin(2 * np.pi * k * mains_hz * TIME_S) / k for k in (1, 2, 3, 5))
    assert reading(0.1 * hum + 0.3).hum_ratio > 0.99  # with any DC


def test_noise_and_voices_are_no_hum():
    rng = np.random.default_rng(0)
    assert reading(rng.uniform(-1, 1, RATE)).hum_ratio < 0.1
    assert reading(np.sin(2 * np.pi * 175 * TIME_S)).hum_ratio < 0.01


def test_a_square_wave_at_the_root_of_a_half_is_at_minus_3_dbfs():
    samples = np.where(np.arange(RATE) % 2, sqrt(0.5), -sqrt(0.5))
    assert reading(samples).rms_dbfs == pytest.approx(-3.0103, abs=1e-3)


@settings(max_examples=examples(30))
@given(st.lists(st.integers(0, 20_000), max_size=8))
def test_splitting_the_input_changes_nothing(cuts):
    samples = np.random.default_rng(1).uniform(-1, 1, 20_000).astype(np.float32)
    meter, whole = LevelMeter(RATE), LevelMeter(RATE)
    pieces = [(found.start, found.channels) for piece in np.split(samples, sorted(cuts)) for found in meter.feed(piece)]
    assert pieces == [(found.start, found.channels) for found in whole.feed(samples)]
    assert [start for start, _ in pieces] == [0, 8000]


def test_dc_is_no_sound():
    voice = 0.01 * np.sin(2 * np.pi * 1000 * TIME_S)
    level, shifted = reading(voice), reading(voice + 0.4)
    assert shifted.rms_dbfs == pytest.approx(level.rms_dbfs, abs=0.01)
    assert shifted.peak_dbfs == pytest.approx(level.peak_dbfs, abs=0.05)


def test_each_channel_has_its_own_level():
    samples = np.stack(
        [np.sin(2 * np.pi * 1025 * TIME_S), np.zeros(RATE), 0.1 * np.sin(2 * np.pi * 50 * TIME_S)], axis=1
    )
    (found,) = LevelMeter(RATE, 3).feed(samples.astype(np.float32))
    left, dead, hum = found.channels
    assert left.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert dead.rms_dbfs is None
    assert hum.rms_dbfs == pytest.approx(-23.01, abs=0.01)
    assert hum.hum_ratio > 0.99
    assert left.hum_ratio < 0.01


@pytest.mark.parametrize("code", [32124, 32256, 127 * 256, 32767])
def test_the_outermost_code_of_every_codec_is_full_scale(code):
    samples = 0.1 * np.sin(2 * np.pi * 1000 * TIME_S)
    samples[:80] = code / 32768
    assert reading(samples).clipped_ratio == 0.01
