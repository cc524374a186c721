"""Acoustics and transmission: room, distance, microphone, codec. Each keeps length and time of a sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def rms(samples: Samples) -> float:
    """Root mean square; 0.0 for no samples."""
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0


def at_level(samples: Samples, level_dbfs: float) -> Samples:
    """Return the sound at an RMS of `level_dbfs`; silence stays silence."""
    now = rms(samples)
    return samples if now == 0.0 else (samples * np.float32(10 ** (level_dbfs / 20) / now))


def add_at(samples: NDArray[Any], wave: NDArray[Any], first: int) -> None:
    """Add a wave that begins at sample `first`, in place, cut off at both ends of the samples."""
    begin, end = max(0, first), min(len(samples), first + len(wave))
    if begin < end:
        samples[begin:end] += wave[begin - first : end - first]


def room(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound in a room: direct sound, a few reflections, and a tail that decays in 0.1 to 1.2 s."""
    reverberation_s = rng.uniform(0.1, 1.2)
    n = round(reverberation_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    tail = rng.standard_normal(n) * 10 ** (-3 * time_s / reverberation_s)
    # walls and air take the high tones first
    tail = _low_pass(tail, sample_rate, rng.uniform(2500, 8000), steepness=2.0)
    response = tail * 10 ** (rng.uniform(-20, 2) / 20) / (np.sqrt(np.sum(tail**2)) + 1e-12)
    response[0] += 1.0
    for _ in range(rng.integers(0, 7)):
        response[rng.integers(1, min(n, sample_rate // 20))] += rng.normal(0, 0.35)
    size = len(samples) + n - 1
    fast = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(samples, fast) * np.fft.rfft(response, fast)
    return np.fft.irfft(spectrum, fast)[: len(samples)].astype(np.float32)


def distance(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound behind air, doors or walls: without high tones."""
    return _low_pass(samples, sample_rate, rng.uniform(1500, 8000), rng.uniform(0.5, 2.5)).astype(np.float32)


def microphone(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound by a cheap microphone: a slope and some broad bumps over frequency, a few dB each."""
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    octave = np.log2(np.maximum(frequency_hz, 50.0) / 1000.0)
    gain_db = rng.normal(0, 1.5) * octave
    for _ in range(3):
        gain_db += rng.normal(0, 3) * np.exp(-0.5 * ((octave - rng.uniform(-4, 3)) / rng.uniform(0.3, 1.0)) ** 2)
    return _filtered(samples, 10 ** (gain_db / 20)).astype(np.float32)


def codec(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound by a camera's codec: telephone (300 to 3400 Hz, mu-law), or AAC's band at a low bit rate."""
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    telephone = rng.random() < 0.5
    if telephone:
        low_hz, high_hz = rng.uniform(20, 300), rng.uniform(3400, 3900)
    else:
        low_hz, high_hz = rng.uniform(5, 60), rng.uniform(5000, 7800)
    gain = 1 / (1 + (low_hz / np.maximum(frequency_hz, 1.0)) ** 4)
    gain *= 1 / (1 + (frequency_hz / high_hz) ** 40)
    filtered = _filtered(samples, gain)
    if telephone:
        peak = np.max(np.abs(filtered)) + 1e-12
        scaled = filtered / peak
        steps = np.round(127 * np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256))
        filtered = peak * np.sign(steps) * np.expm1(np.abs(steps) / 127 * np.log(256)) / 255
    return filtered.astype(np.float32)


def clipping(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the sound clipped by an input stage driven 0 to 15 dB too far."""
    ceiling = np.max(np.abs(samples)) * 10 ** (-rng.uniform(0, 15) / 20)
    return np.clip(samples, -ceiling, ceiling)


def coloured_noise(n: int, rng: np.random.Generator, *, slope: float) -> Samples:
    """Return noise of RMS 1 whose power falls as 1/f**slope: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** (-slope / 2)
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, n)
    return (noise / (np.std(noise) + 1e-12)).astype(np.float32)


def _low_pass(samples: NDArray[Any], sample_rate: int, corner_hz: float, steepness: float) -> NDArray[np.float64]:
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    return _filtered(samples, np.asarray((1 + (frequency_hz / corner_hz) ** 2) ** (-steepness / 2), dtype=np.float64))


def _filtered(samples: NDArray[Any], gain: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)))
