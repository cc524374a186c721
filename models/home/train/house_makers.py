"""Synthesised backgrounds of a house: a model is judged on a kind by what was trained on other kinds.

Owns: the synthesis of kinds of background of which there are few free recordings, after the recipes of A. Farnell,
"Designing Sound" (2010). Does not know: what is put over them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.synth.acoustics import add_at, coloured_noise

Samples = NDArray[np.float32]
Maker = Callable[[float, int, np.random.Generator], Samples]


def ship(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A ship heard from near or under water: the engine's low tones, and a propeller that hisses at its blade rate."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    blade_hz = rng.uniform(2, 14)
    beat = 1 + rng.uniform(0.2, 0.9) * np.sin(2 * np.pi * blade_hz * time_s + rng.uniform(0, 6))
    propeller = coloured_noise(n, rng, slope=rng.uniform(0.6, 1.8)) * beat * _slow(n, sample_rate, rng, 2.0)
    engine = _wave(rng.uniform(8, 40) * time_s, 24, rng.uniform(2, 6), rng)
    rumble = coloured_noise(n, rng, slope=2.0)
    return _mix((propeller, 0.0), (engine, rng.uniform(-6, 8)), (rumble, rng.uniform(-10, 4)))


def engine(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A motor of a car, a tractor, a generator or a mower: firings, exhaust, and a load that changes."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    speed = rng.uniform(12, 140) * (1 + 0.3 * np.clip(np.log(_slow(n, sample_rate, rng, 3.0)), -1, 1))
    phase = np.cumsum(speed) / sample_rate
    firing = np.exp(-np.mod(phase, 1.0) * rng.uniform(3, 12)) - 0.2
    uneven = 1 + 0.3 * np.sin(np.pi * phase + rng.uniform(0, 6))
    roar = coloured_noise(n, rng, slope=rng.uniform(1, 2)) * np.maximum(0.1, firing)
    whine = np.sin(2 * np.pi * rng.integers(3, 12) * phase) * 0.1
    hiss = coloured_noise(n, rng, slope=0.5)
    passing = 10 ** (rng.uniform(0, 8) * np.sin(2 * np.pi * time_s / rng.uniform(8, 40)) / 20)
    sound = _mix((firing * uneven + whine, 0.0), (roar, rng.uniform(-8, 6)), (hiss, rng.uniform(-30, -12)))
    return sound * passing.astype(np.float32)


def fan(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A fan, a cooker hood or a heat pump: air, blades, mains hum, and a motor that starts."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    turn_hz = rng.uniform(6, 50)
    wobble = 1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * turn_hz * time_s)
    air = coloured_noise(n, rng, slope=rng.uniform(0.2, 1.8)) * wobble
    blades = _wave(turn_hz * rng.integers(3, 9) * time_s, 8, rng.uniform(4, 12), rng)
    hum = _wave(float(rng.choice((50, 60, 100, 120))) * time_s, 6, rng.uniform(3, 9), rng)
    started = np.clip((np.mod(time_s, rng.uniform(20, 90)) - rng.uniform(0, 4)) / rng.uniform(0.5, 4), 0.05, 1)
    steady = started if rng.random() < 0.4 else np.ones(n)
    return _mix((air, 0.0), (blades, rng.uniform(-25, 0)), (hum, rng.uniform(-25, 0))) * steady.astype(np.float32)


def wind(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Gusts against the microphone, in leaves, and a whistle in a gap."""
    n = round(duration_s * sample_rate)
    gusts = _slow(n, sample_rate, rng, rng.uniform(5, 9))
    rumble = coloured_noise(n, rng, slope=rng.uniform(1.6, 2.4)) * gusts
    leaves = coloured_noise(n, rng, slope=rng.uniform(-0.2, 0.8)) * gusts**1.5
    pitch_hz = rng.uniform(250, 1200) * (1 + 0.15 * np.clip(np.log(gusts), -2, 2))
    whistle = np.sin(2 * np.pi * np.cumsum(pitch_hz) / sample_rate) * gusts**2
    return _mix((rumble, 0.0), (leaves, rng.uniform(-25, 3)), (whistle, rng.uniform(-50, -12)))


def kitchen(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A tap, boiling, frying, chopping, dishes, a microwave oven: one after the other, and at once."""
    scenes = (_tap, _boiling, _frying, _chopping, _dishes, _microwave)
    return _sequence(scenes, duration_s, sample_rate, rng)


def tools(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Drilling, sanding, hammering, sawing by hand, a vacuum cleaner, a compressor."""
    return _sequence((_drill, _vacuum, _hammering, _hand_saw, _sander), duration_s, sample_rate, rng)


def birds(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Songs of whistled sweeps, repeated as birds do, by one to four birds; doves; a woodpecker."""
    n = round(duration_s * sample_rate)
    sound = np.zeros(n)
    for _ in range(rng.integers(1, 5)):
        syllables = [_syllable(sample_rate, rng) for _ in range(rng.integers(1, 6))]
        gap_s, level = rng.uniform(0.02, 0.3), 10 ** (rng.uniform(-20, 0) / 20)
        now_s = rng.uniform(0, 4)
        while now_s < duration_s:
            for syllable in syllables * int(rng.integers(1, 4)):
                add_at(sound, level * syllable, round(now_s * sample_rate))
                now_s += len(syllable) / sample_rate + gap_s
            now_s += rng.exponential(3.0)
    return _mix((sound, 0.0), (coloured_noise(n, rng, slope=1.0), rng.uniform(-40, -15)))


def insects(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Crickets, cicadas, and a fly or a mosquito that comes by."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    pitch_hz, pulses_hz, chirps_hz = rng.uniform(2500, 7500), rng.uniform(18, 60), rng.uniform(0.5, 4)
    pulsing = np.maximum(0, np.sin(2 * np.pi * pulses_hz * time_s)) * (
        np.mod(time_s * chirps_hz, 1) < rng.uniform(0.2, 1)
    )
    cricket = np.sin(2 * np.pi * pitch_hz * time_s) * pulsing
    buzz = np.sin(2 * np.pi * rng.uniform(4000, 9000) * time_s) * (
        1 + np.sin(2 * np.pi * rng.uniform(80, 250) * time_s)
    )
    cicada = buzz * coloured_noise(n, rng, slope=0.0) * _slow(n, sample_rate, rng, 4.0)
    wing_hz = rng.uniform(150, 600) * (1 + 0.1 * np.clip(np.log(_slow(n, sample_rate, rng, 3.0)), -1, 1))
    fly = _wave(np.cumsum(wing_hz) / sample_rate, 10, 5.0, rng) * _slow(n, sample_rate, rng, 12.0)
    levels = [(sound, rng.uniform(-6, 6)) for sound in (cricket, cicada, fly) if rng.random() < 0.6]
    return _mix((coloured_noise(n, rng, slope=1.0), -20.0), *(levels or [(cricket, 0.0)]))


def bad_microphone(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Mains hum, hiss, a telephone's radio bursts, bumps against the case, packets that are lost."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    hum = _wave(float(rng.choice((50, 60))) * time_s, 30, rng.uniform(1, 6), rng)
    hiss = coloured_noise(n, rng, slope=rng.uniform(-0.3, 1.0))
    bursts = (np.mod(time_s * 217, 1) < 0.125) * (np.mod(time_s, rng.uniform(1, 9)) < rng.uniform(0.1, 1.5)) * 1.0
    bumps = np.zeros(n)
    for first in rng.integers(0, n, rng.poisson(duration_s * 0.4)):
        add_at(bumps, _ring(rng.uniform(30, 220), rng.uniform(0.02, 0.15), sample_rate, rng), int(first))
    sound = _mix((hum, rng.uniform(-20, 5)), (hiss, 0.0), (bursts, rng.uniform(-40, 0)), (bumps, rng.uniform(-20, 6)))
    if rng.random() < 0.5:
        for first in rng.integers(0, n, rng.poisson(duration_s * 0.8)):
            sound[first : first + round(rng.uniform(0.02, 0.2) * sample_rate)] = 0.0
    return sound


def _tap(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    return _mix((coloured_noise(n, rng, slope=rng.uniform(-0.5, 0.8)), 0.0), (_bubbles(n, sample_rate, 60, rng), -6.0))


def _boiling(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    hiss = coloured_noise(n, rng, slope=rng.uniform(0.5, 1.5))
    return _mix((_bubbles(n, sample_rate, rng.uniform(20, 90), rng), 0.0), (hiss, rng.uniform(-6, 6)))


def _frying(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    spits = np.zeros(n)
    for first in rng.integers(0, n, rng.poisson(duration_s * rng.uniform(20, 120))):
        add_at(spits, _ring(rng.uniform(2000, 9000), rng.uniform(0.0005, 0.004), sample_rate, rng), int(first))
    return _mix((coloured_noise(n, rng, slope=0.0), 0.0), (spits, rng.uniform(-6, 4)))


def _chopping(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    return _strokes(
        duration_s, sample_rate, rng, every_s=rng.uniform(0.15, 0.7), pitch_hz=rng.uniform(90, 500), decay_s=0.02
    )


def _dishes(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    sound = np.zeros(n)
    for first in rng.integers(0, n, max(1, rng.poisson(duration_s * 2.5))):
        base_hz, level = rng.uniform(700, 4000), 10 ** (rng.uniform(-20, 0) / 20)
        for ratio in (1.0, 1.58, 2.24, 2.92, 3.7)[: rng.integers(2, 6)]:
            if base_hz * ratio < 0.45 * sample_rate:
                add_at(sound, level * _ring(base_hz * ratio, rng.uniform(0.02, 0.4), sample_rate, rng), int(first))
    return _mix((sound, 0.0), (coloured_noise(n, rng, slope=1.0), -35.0))


def _microwave(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    end_s, pitch_hz = rng.uniform(0.4, 0.8) * duration_s, rng.uniform(1900, 2600)
    hum = _wave(100.0 * time_s, 10, 5.0, rng) * (time_s < end_s)
    air = coloured_noise(n, rng, slope=1.2) * (time_s < end_s)
    beeps = np.sin(2 * np.pi * pitch_hz * time_s) * (time_s > end_s) * (np.mod(time_s - end_s, 2.0) < 1.0)
    return _mix((hum, 0.0), (air, -3.0), (beeps, rng.uniform(-10, 3)))


def _drill(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    load = np.clip(np.log(_slow(n, sample_rate, rng, 6.0)), -1, 1)
    phase = np.cumsum(rng.uniform(150, 600) * (1 - 0.2 * load)) / sample_rate
    grit = coloured_noise(n, rng, slope=0.3) * np.maximum(0.05, load)
    return _mix((_wave(phase, 16, rng.uniform(2, 6), rng), 0.0), (grit, rng.uniform(-6, 6)))


def _vacuum(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    tone = _wave(rng.uniform(200, 700) * np.arange(n) / sample_rate, 12, 4.0, rng)
    return _mix((coloured_noise(n, rng, slope=0.8) * _slow(n, sample_rate, rng, 1.5), 0.0), (tone, rng.uniform(-15, 0)))


def _sander(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    swing = 1 + 0.6 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time_s)
    tone = _wave(rng.uniform(80, 220) * time_s, 20, 3.0, rng)
    return _mix((coloured_noise(len(time_s), rng, slope=0.2) * swing, 0.0), (tone, rng.uniform(-6, 6)))


def _hammering(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    return _strokes(
        duration_s, sample_rate, rng, every_s=rng.uniform(0.3, 1.2), pitch_hz=rng.uniform(300, 2500), decay_s=0.05
    )


def _hand_saw(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    n = round(duration_s * sample_rate)
    stroke = np.sin(np.pi * rng.uniform(1.2, 3.0) * np.arange(n) / sample_rate)
    rasp = 1 + np.sin(2 * np.pi * np.cumsum(60 + 240 * np.abs(stroke)) / sample_rate)
    return _mix((coloured_noise(n, rng, slope=0.3) * np.abs(stroke) ** 1.5 * rasp, 0.0))


def _strokes(
    duration_s: float, sample_rate: int, rng: np.random.Generator, *, every_s: float, pitch_hz: float, decay_s: float
) -> Samples:
    n = round(duration_s * sample_rate)
    sound, now_s = np.zeros(n), rng.uniform(0, 0.5)
    while now_s < duration_s:
        for _ in range(int(rng.integers(3, 14))):
            hit = _ring(pitch_hz * rng.uniform(0.9, 1.1), decay_s * rng.uniform(0.5, 2), sample_rate, rng)
            click = coloured_noise(64, rng, slope=0.0) * np.float32(0.5)
            add_at(sound, hit, round(now_s * sample_rate))
            add_at(sound, click, round(now_s * sample_rate))
            now_s += every_s * rng.uniform(0.85, 1.15)
        now_s += rng.exponential(2.0)
    return _mix((sound, 0.0), (coloured_noise(n, rng, slope=1.0), -35.0))


def _bubbles(n: int, sample_rate: int, rate_hz: float, rng: np.random.Generator) -> NDArray[Any]:
    sound = np.zeros(n)
    for first in rng.integers(0, n, rng.poisson(n / sample_rate * rate_hz)):
        level = 10 ** (rng.uniform(-15, 0) / 20)
        add_at(sound, level * _ring(rng.uniform(300, 2500), rng.uniform(0.005, 0.04), sample_rate, rng), int(first))
    return sound


def _syllable(sample_rate: int, rng: np.random.Generator) -> NDArray[Any]:
    kind = rng.random()
    if kind < 0.1:  # a woodpecker
        return np.concatenate([_ring(rng.uniform(900, 1600), 0.008, sample_rate, rng)[: sample_rate // 18]] * 14)
    length_s = rng.uniform(0.3, 0.7) if kind < 0.2 else rng.uniform(0.03, 0.3)
    first_hz = rng.uniform(400, 650) if kind < 0.2 else rng.uniform(1800, 7000)
    position = np.linspace(0, 1, round(length_s * sample_rate), endpoint=False)
    bend, trill = rng.uniform(-0.4, 0.4), rng.uniform(0, 0.1) * (rng.random() < 0.4)
    pitch_hz = first_hz * (1 + bend * position + trill * np.sin(2 * np.pi * rng.uniform(15, 60) * length_s * position))
    return np.sin(2 * np.pi * np.cumsum(pitch_hz) / sample_rate) * np.sin(np.pi * position) ** 0.7


def _sequence(scenes: tuple[Maker, ...], duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return scenes of 5 to 20 s one after the other, each at a level of its own, a second one at once now and then."""
    sound = np.zeros(round(duration_s * sample_rate))
    now_s = 0.0
    while now_s < duration_s:
        length_s = rng.uniform(5, 20)
        for _ in range(2 if rng.random() < 0.3 else 1):
            scene = scenes[int(rng.integers(len(scenes)))](length_s, sample_rate, rng)
            add_at(sound, scene * 10 ** (rng.uniform(-12, 0) / 20), round(now_s * sample_rate))
        now_s += length_s
    return sound.astype(np.float32)


def _ring(pitch_hz: float, decay_s: float, sample_rate: int, rng: np.random.Generator) -> NDArray[Any]:
    time_s = np.arange(max(8, round(6 * decay_s * sample_rate))) / sample_rate
    return np.sin(2 * np.pi * pitch_hz * time_s + rng.uniform(0, 6)) * np.exp(-time_s / decay_s)


def _wave(phase: NDArray[Any], count: int, slope_db: float, rng: np.random.Generator) -> NDArray[Any]:
    """Return a tone of `count` harmonics that fall by `slope_db` an octave; phase in turns."""
    orders = np.arange(1, count + 1)
    levels = 10 ** (-slope_db * np.log2(orders) / 20) * 10 ** (rng.normal(0, 4, count) / 20)
    parts = (
        level * np.sin(2 * np.pi * (order * phase + rng.random())) for order, level in zip(orders, levels, strict=True)
    )
    return np.asarray(sum(parts))


def _slow(n: int, sample_rate: int, rng: np.random.Generator, deviation_db: float) -> NDArray[Any]:
    """A gain that wanders, a new value about every second; (n,)."""
    corners = rng.normal(0, deviation_db, max(2, n // sample_rate + 1))
    return 10 ** (np.interp(np.linspace(0, len(corners) - 1, n), np.arange(len(corners)), corners) / 20)


def _mix(*parts: tuple[NDArray[Any], float]) -> Samples:
    """Return sounds together, each at its level in dB."""
    together = sum(sound / (np.sqrt(np.mean(sound**2)) + 1e-12) * 10 ** (level_db / 20) for sound, level_db in parts)
    return np.asarray(together, dtype=np.float32)


MAKERS: dict[str, Maker] = {
    "birds": birds,
    "engines": engine,
    "fans": fan,
    "insects": insects,
    "kitchen": kitchen,
    "microphones": bad_microphone,
    "ships": ship,
    "tools": tools,
    "wind": wind,
}
