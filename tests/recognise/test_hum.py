"""Hum measured on sums of samples is that of the whole spectrum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.hum import HUM_TOP_HZ, HUM_WIDTH_HZ, LOWEST_HZ, MAINS_HZ, HumMeter
from edgeaudio.types import Samples

RATES = (8000, 11025, 12345, 16000, 22050, 32000, 44100, 48000, 96000, 192000)


def share_of_hum(signal: np.ndarray, rate: int) -> float:
    """The definition: hum's share in the energy of a second's spectrum above LOWEST_HZ."""
    energies = np.abs(np.fft.rfft(signal * np.hanning(rate))) ** 2
    hz = np.arange(len(energies))
    near = [
        (hz > MAINS_HZ[0] / 2) & (hz < HUM_TOP_HZ) & (np.abs(hz - mains * np.round(hz / mains)) <= HUM_WIDTH_HZ)
        for mains in MAINS_HZ
    ]
    return float(max(energies[bins].sum() for bins in near) / energies[hz > LOWEST_HZ].sum())


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=examples(20))
@given(
    tones=st.lists(st.tuples(st.floats(15, 3900), st.floats(0.001, 0.3)), max_size=5),
    hum=st.lists(st.tuples(st.sampled_from(MAINS_HZ), st.integers(1, 15), st.floats(0.001, 0.3)), max_size=3),
    noise=st.floats(0.001, 0.1),
    rumble=st.floats(0, 0.05),
)
def test_hum_is_its_share_of_the_whole_spectrum(
    rate: int,
    tones: list[tuple[float, float]],
    hum: list[tuple[float, int, float]],
    noise: float,
    rumble: float,
) -> None:
    time_s = np.arange(rate) / rate
    signal = noise * np.random.default_rng(0).standard_normal(rate) + rumble * np.sin(2 * np.pi * 4 * time_s)
    for hz, amplitude in [*tones, *((mains * k, amplitude) for mains, k, amplitude in hum)]:
        signal += amplitude * np.sin(2 * np.pi * hz * time_s)
    centred: Samples = (signal - signal.mean()).astype(np.float32)
    assert HumMeter(rate, rate).ratio(centred) == pytest.approx(share_of_hum(centred, rate), abs=0.01)


def test_silence_has_no_hum() -> None:
    assert HumMeter(48000, 48000).ratio(np.zeros(48000, np.float32)) == 0
