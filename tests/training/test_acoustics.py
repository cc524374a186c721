"""What a sound suffers on its way keeps its length, its time and what it must leave untouched."""

import numpy as np
import pytest

from tools.synth import acoustics
from tools.synth.scenes import mixed

RATE = 16_000


def tone(frequency_hz, length_s=1.0):
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(length_s * RATE)) / RATE).astype(np.float32)


@pytest.mark.parametrize("change", [acoustics.room, acoustics.distance, acoustics.microphone, acoustics.codec])
def test_length_and_type_stay(change):
    for seed in range(5):
        out = change(tone(700), RATE, np.random.default_rng(seed))
        assert out.dtype == np.float32
        assert out.shape == (RATE,)
        assert np.isfinite(out).all()


def test_a_room_adds_nothing_before_the_sound():
    silence_then_tone = np.concatenate([np.zeros(RATE // 2, dtype=np.float32), tone(700, 0.5)])
    out = acoustics.room(silence_then_tone, RATE, np.random.default_rng(1))
    assert np.max(np.abs(out[: RATE // 2])) < 1e-4


def test_no_codec_passes_what_lies_above_its_band():
    for seed in range(8):
        out = acoustics.codec(tone(7_950) + tone(1_000), RATE, np.random.default_rng(seed))
        spectrum = np.abs(np.fft.rfft(out)) ** 2
        assert spectrum[7_900:].sum() < 0.2 * spectrum[950:1_050].sum()


def test_at_level_sets_the_level_and_leaves_silence():
    assert 20 * np.log10(acoustics.rms(acoustics.at_level(tone(500), -30.0))) == pytest.approx(-30.0, abs=0.01)
    assert not acoustics.at_level(np.zeros(10, dtype=np.float32), -30.0).any()


def test_clipping_lowers_the_peak_alone():
    out = acoustics.clipping(tone(500), np.random.default_rng(2))
    assert np.max(np.abs(out)) < 1.0
    assert np.all(np.sign(out) == np.sign(tone(500)))


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_the_slope_asked_for(slope):
    noise = acoustics.coloured_noise(1 << 16, np.random.default_rng(0), slope=slope)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[1 << k : 1 << (k + 1)].mean() for k in (8, 12)]
    assert acoustics.rms(noise) == pytest.approx(1.0, abs=1e-3)
    assert np.log2(octaves[0] / octaves[1]) / 4 == pytest.approx(slope, abs=0.25)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_mixing_keeps_the_ratio_asked_for(snr_db):
    background = acoustics.coloured_noise(RATE, np.random.default_rng(0), slope=0.0) * np.float32(0.01)
    sound = tone(1_000)
    both = mixed(sound, background, acoustics.rms(sound), snr_db)
    rest = both - background / np.float32(acoustics.rms(background))
    assert 20 * np.log10(acoustics.rms(rest)) == pytest.approx(snr_db, abs=0.05)


def test_mixing_with_silence_leaves_the_sound():
    sound = tone(1_000)
    np.testing.assert_array_equal(mixed(sound, np.zeros_like(sound), 0.7, 10.0), sound)
