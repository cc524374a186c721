"""The live spectrum: a tone is in its band at its level, at any rate, and however the sound was split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.decibels import rms_dbfs
from edgeaudio.sinks.live.spectrum import FLOOR_DB, PACKET_COLUMNS, STEP_DB, Levels, Spectrum
from edgeaudio.types import Samples

RATES = (1000, 8000, 11_025, 16_000, 44_100, 48_000, 96_000, 192_000, 1_000_000)


def tone(hz: float, rate: int, seconds: float = 0.6, amplitude: float = 0.5) -> Samples:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def power(levels: Levels) -> np.ndarray:
    return np.asarray(10 ** ((FLOOR_DB + STEP_DB * levels.astype(np.float64)) / 10))


def all_of(spectrum: Spectrum, pieces: Sequence[Samples]) -> Levels:
    packets = [packet for piece in pieces for packet in spectrum.feed(piece)]
    return np.concatenate(packets) if packets else np.empty((0, spectrum.n_bands), np.uint8)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("place", [0.1, 0.437, 0.9])
def test_a_tone_is_in_its_band_at_its_level(rate: int, place: float) -> None:
    spectrum = Spectrum(rate)
    signal = tone(place * rate / 2, rate)
    (packet, *_) = spectrum.feed(signal)
    assert packet.shape == (PACKET_COLUMNS, spectrum.n_bands)
    band = place * spectrum.n_bands
    assert np.all(np.abs(packet.argmax(axis=1) + 0.5 - band) <= 1)
    # on the edge of two bands it is in both; a window's main lobe may reach into the next
    near = power(packet)[:, max(0, int(band) - 2) : int(band) + 3].sum(axis=1)
    expected = rms_dbfs(signal)
    assert expected is not None
    assert np.abs(10 * np.log10(near) - expected).max() < 0.4


@pytest.mark.parametrize("rate", RATES)
def test_the_bands_add_up_to_the_level_of_the_sound(rate: int) -> None:
    signal = np.random.default_rng(1).normal(0, 0.1, 4 * rate).astype(np.float32)
    levels = all_of(Spectrum(rate), [signal])
    expected = rms_dbfs(signal)
    assert expected is not None
    assert abs(10 * np.log10(power(levels).sum(axis=1).mean()) - expected) < 0.2


def test_a_full_square_wave_and_digital_silence_are_within_the_scale() -> None:
    square = np.sign(tone(1000.3, 48_000) + 1e-9).astype(np.float32)
    assert 250 <= max(packet.max() for packet in Spectrum(48_000).feed(square)) < 255
    assert max(packet.max() for packet in Spectrum(48_000).feed(np.zeros(48_000, np.float32))) == 0


def test_a_click_is_seen_wherever_it_falls() -> None:
    rate = 48_000
    quietest = 255
    for place in range(10_000, 10_960, 37):
        signal = np.zeros(rate, np.float32)
        signal[place] = 1.0
        quietest = min(quietest, int(all_of(Spectrum(rate), [signal]).max(axis=0).min()))
    assert FLOOR_DB + STEP_DB * quietest > -70


def test_channels_that_cancel_each_other_out_are_seen() -> None:
    signal = tone(1000.0, 8000)
    (alone,), (both,) = Spectrum(8000).feed(signal[:3200]), Spectrum(8000).feed(np.stack([signal, -signal], 1)[:3200])
    np.testing.assert_array_equal(both, alone)


@pytest.mark.parametrize("rate", [*RATES, 1025, 6399, 6401, 7999, 50_000])
def test_a_source_takes_less_than_16_kb_a_second(rate: int) -> None:
    spectrum = Spectrum(rate)
    packets_per_s = rate / (PACKET_COLUMNS * spectrum.hop)
    assert 4.8 < packets_per_s < 5.2
    # 44: the header; 128: the longest topic's share
    assert packets_per_s * (44 + 128 + PACKET_COLUMNS * spectrum.n_bands) < 16_000
    assert spectrum.n_fft >= 2 * spectrum.hop


@given(
    rate=st.sampled_from([1000, 8000, 11_025, 48_000]),
    channels=st.integers(1, 3),
    cuts=st.lists(st.floats(0, 1), max_size=30),
    seed=st.integers(0, 100),
)
def test_splitting_the_sound_changes_no_bit(rate: int, channels: int, cuts: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (rate,) if channels == 1 else (rate, channels)
    signal = (rng.normal(0, 10 ** rng.uniform(-5, -1), shape)).astype(np.float32)
    whole = all_of(Spectrum(rate), [signal])
    split = all_of(Spectrum(rate), np.split(signal, sorted(round(cut * rate) for cut in cuts)))
    assert len(whole) >= 4 * PACKET_COLUMNS
    np.testing.assert_array_equal(split, whole)


def test_single_samples_give_the_same_columns() -> None:
    signal = tone(440.0, 1000, 1.0)
    whole = all_of(Spectrum(1000), [signal])
    np.testing.assert_array_equal(all_of(Spectrum(1000), np.split(signal, len(signal))), whole)


def test_no_more_sound_is_held_than_a_packet_needs() -> None:
    spectrum = Spectrum(48_000)
    spectrum.feed(np.zeros(480_000, np.float32))
    assert sum(len(piece) for piece in spectrum._waiting) < 0.3 * 48_000
    assert all(piece.base is None for piece in spectrum._waiting)
