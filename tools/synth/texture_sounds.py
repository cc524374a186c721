"""Synthesised textures: rain, sea waves, fire, helicopters and clocks.

Owns: the synthesis of sounds that carry a label of models/home and of which there are few recordings, after the recipes
of A. Farnell, "Designing Sound" (2010).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.synth.acoustics import add_at, coloured_noise
from tools.synth.other_sounds import Maker

Samples = NDArray[np.float32]


def rain(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A hiss of drops too many to tell apart, and drops near by: on water (they sing), on leaves, on a roof."""
    n = round(duration_s * sample_rate)
    hiss = coloured_noise(n, rng, slope=rng.uniform(-0.5, 1.2)) * _wandering(n, rng, rng.uniform(0, 2), 6)
    drops = np.zeros(n)
    on_water, on_a_roof = rng.random() * 0.6, rng.random() < 0.3
    roof_hz = _between(rng, 250, 2500)
    for start in _poisson(duration_s, sample_rate, _between(rng, 15, 500), rng):
        level = 10 ** (rng.normal(0, 7) / 20)
        if rng.random() < on_water:
            wave = _ringing(_between(rng, 1000, 7000), rng.uniform(0.003, 0.02), sample_rate, rng)
        elif on_a_roof:
            wave = _ringing(roof_hz * rng.uniform(0.8, 1.3), rng.uniform(0.005, 0.04), sample_rate, rng)
        else:
            wave = _burst(rng.uniform(0.0008, 0.005), sample_rate, rng, slope=rng.uniform(-1, 1))
        add_at(drops, level * wave, start)
    return _together(hiss, drops, rng.uniform(-12, 12))


def sea_waves(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A steady rumble, and waves: each swells, breaks (bright), and runs out hissing."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    rumble = coloured_noise(n, rng, slope=rng.uniform(1.2, 2.2)) * _wandering(n, rng, rng.uniform(1, 4), 4)
    breaking = np.zeros(n)
    body = coloured_noise(n, rng, slope=rng.uniform(0.6, 1.4))
    foam = coloured_noise(n, rng, slope=rng.uniform(-0.3, 0.5))
    every_s, depth_db = rng.uniform(2.5, 9), rng.uniform(8, 30)
    now_s = -rng.uniform(0, every_s) - every_s
    while now_s < duration_s + every_s:
        rise_s, fall_s = rng.uniform(0.3, 3.0), rng.uniform(0.8, 4.0)
        since_s = time_s - now_s - rise_s
        swell = np.where(since_s < 0, np.exp(3 * since_s / rise_s), np.exp(-2 * since_s / fall_s))
        late = np.where(since_s < 0, np.exp(6 * since_s / rise_s), np.exp(-since_s / fall_s))
        breaking += rng.uniform(0.3, 1) * (swell * body + rng.uniform(0.1, 0.8) * late**1.5 * foam)
        now_s += every_s * rng.uniform(0.6, 1.4)
    return _together(rumble, breaking, depth_db - 10)


def fire_crackling(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Crackles of any size in swarms, over a hiss and the flutter of flames."""
    n = round(duration_s * sample_rate)
    flames = coloured_noise(n, rng, slope=rng.uniform(1.5, 2.2)) * _wandering(n, rng, rng.uniform(2, 6), 40)
    hiss = coloured_noise(n, rng, slope=rng.uniform(0, 0.8)) * np.float32(10 ** (rng.uniform(-30, -8) / 20))
    crackles = np.zeros(n)
    swarms = _wandering(n, rng, 8, 8)
    spread_db = rng.uniform(5, 10)
    starts = _poisson(duration_s, sample_rate, _between(rng, 4, 80), rng)
    for start in starts[rng.random(len(starts)) < np.clip(swarms[starts], 0.05, 1)]:
        length_s = _between(rng, 0.0004, 0.012)
        wave = _burst(length_s, sample_rate, rng, slope=rng.uniform(-1, 1.2))
        add_at(crackles, 10 ** (rng.normal(0, spread_db) / 20) * wave, start)
    return _together(flames + hiss, crackles, rng.uniform(-3, 20))


def helicopter(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Blades that beat 9 to 30 times a second, in thumps and in swishes, with the turbine's whine and its roar."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    rate_hz = rng.uniform(9, 30) * (1 + rng.uniform(-0.04, 0.04) * time_s / duration_s)
    turns = np.cumsum(rate_hz) / sample_rate + rng.uniform(0, 1)
    blades = 1 + rng.uniform(0, 0.4) * np.sin(np.pi * turns)  # two blades are never alike
    sharpness = rng.uniform(1.5, 8)
    beat = ((1 + np.cos(2 * np.pi * turns)) / 2) ** sharpness * blades
    floor = 10 ** (-rng.uniform(12, 30) / 20)  # rain is noise that does not beat
    swish = coloured_noise(n, rng, slope=rng.uniform(0.8, 2.0)) * (floor + beat)
    thump = np.zeros(n)
    for order in range(1, rng.integers(4, 16)):
        thump += order ** -rng.uniform(0.0, 0.8) * np.cos(2 * np.pi * order * turns + rng.normal(0, 0.5))
    thump += 0.5 * np.sin(2 * np.pi * rng.uniform(40, 120) * time_s) * beat
    whine = np.zeros(n)
    for _ in range(rng.integers(0, 4)):
        whine += rng.uniform(0.1, 1) * np.sin(2 * np.pi * _between(rng, 300, 5000) * time_s)
    whine = whine * 10 ** (rng.uniform(-40, -12) / 20)
    approach = _wandering(n, rng, rng.uniform(0, 4), 2)
    return (_together(swish, thump, rng.uniform(-10, 10)) + whine).astype(np.float32) * approach


def clock_tick(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Ticks, or ticks and tocks: each a few impacts that ring in the clock's case."""
    ticks = np.zeros(round(duration_s * sample_rate))
    period_s, now_s = _between(rng, 0.18, 1.1), rng.uniform(0, 0.5)
    sounds = []
    for _ in range(1 if rng.random() < 0.4 else 2):
        wave = np.zeros(round(0.15 * sample_rate))
        for _ in range(rng.integers(1, 5)):
            impact = _burst(rng.uniform(0.0005, 0.003), sample_rate, rng, slope=0.0)
            add_at(wave, impact * rng.uniform(0.2, 1), round(rng.uniform(0, 0.03) * sample_rate))
            ring = _ringing(_between(rng, 700, 7000), rng.uniform(0.002, 0.03), sample_rate, rng)
            add_at(wave, ring * rng.uniform(0.1, 1), round(rng.uniform(0, 0.03) * sample_rate))
        sounds.append(wave)
    uneven = rng.uniform(-0.2, 0.2) * period_s
    for count in range(int(duration_s / period_s) + 1):
        start_s = now_s + count * period_s + uneven * (count % 2)
        add_at(ticks, sounds[count % len(sounds)] * rng.uniform(0.85, 1), round(max(0.0, start_s) * sample_rate))
    return ticks.astype(np.float32)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Drawn evenly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _poisson(duration_s: float, sample_rate: int, rate_hz: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """First samples of events that know nothing of each other."""
    return rng.integers(0, round(duration_s * sample_rate), rng.poisson(rate_hz * duration_s))


def _wandering(n: int, rng: np.random.Generator, deviation_db: float, points: int) -> Samples:
    """A gain that wanders between `points` values in a second or so; (n,)."""
    corners = rng.normal(0, deviation_db, points)
    return (10 ** (np.interp(np.linspace(0, points - 1, n), np.arange(points), corners) / 20)).astype(np.float32)


def _burst(decay_s: float, sample_rate: int, rng: np.random.Generator, *, slope: float) -> NDArray[Any]:
    n = max(8, round(6 * decay_s * sample_rate))
    return coloured_noise(n, rng, slope=slope) * np.exp(-np.arange(n) / (decay_s * sample_rate))


def _ringing(pitch_hz: float, decay_s: float, sample_rate: int, rng: np.random.Generator) -> NDArray[Any]:
    time_s = np.arange(round(6 * decay_s * sample_rate)) / sample_rate
    return np.sin(2 * np.pi * pitch_hz * time_s + rng.uniform(0, 6)) * np.exp(-time_s / decay_s)


def _together(first: NDArray[Any], second: NDArray[Any], gain_db: float) -> Samples:
    """Both, the second `gain_db` over the first in RMS."""
    first_rms, second_rms = (np.sqrt(np.mean(samples**2)) + 1e-12 for samples in (first, second))
    both: Samples = (first / first_rms + second / second_rms * 10 ** (gain_db / 20)).astype(np.float32)
    return both


TEXTURES: dict[str, Maker] = {
    "rain": rain,
    "sea_waves": sea_waves,
    "fire_crackling": fire_crackling,
    "helicopter": helicopter,
    "clock_tick": clock_tick,
}
