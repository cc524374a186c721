"""Synthesised beeps of a house and its street, with the machine that gives them: no alarm, each easily taken for one.

Owns: how lorries, fridges, microwave ovens, timers and door bells sound.
Does not know: beeps of any rhythm (`other_sounds.py`), or where they are heard (`acoustics.py`).

A lorry beeps as SAE J994 has it: a tone between 700 and 2800 Hz, as long on as off, one to two and a half times a
second; or with a burst of noise in the tone's place. The rest follows what is sold, not a standard.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.synth.acoustics import add_at, coloured_noise, rms
from tools.synth.alarm_sounds import beep
from tools.synth.other_sounds import Maker, engine, is_alarm_cadence

Samples = NDArray[np.float32]

PIEZO_HZ = (1900.0, 4100.0)
MAINS_HZ = (50.0, 60.0)


def reversing_lorry(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Equal beeps or hisses without end, over an idling engine; some begin or stop."""
    beeps = np.zeros(round(duration_s * sample_rate))
    period_s, is_hiss = 1 / rng.uniform(1.0, 2.5), rng.random() < 0.3
    on_s = period_s * rng.uniform(0.4, 0.6)
    pitch_hz, harmonics_db = rng.uniform(700, 2800), _harmonics(rng)
    begin_s = rng.uniform(-period_s, 0) if rng.random() < 0.6 else rng.uniform(0, duration_s / 2)
    end_s = duration_s if rng.random() < 0.7 else rng.uniform(begin_s + 2 * period_s, begin_s + 8 * period_s)
    while begin_s < min(duration_s, end_s):
        if is_hiss:
            n = round(on_s * sample_rate)
            wave: NDArray[Any] = coloured_noise(n, rng, slope=rng.uniform(-0.5, 0.5)) * np.hanning(n) ** 0.2
        else:
            wave = beep(on_s, pitch_hz, harmonics_db, sample_rate, rng)
        add_at(beeps, wave, round(begin_s * sample_rate))
        begin_s += period_s
    return _over(beeps, engine(duration_s, sample_rate, rng), rng.uniform(0, 25))


def fridge_door(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """One to five short beeps again and again, while the door stays open, over the compressor's hum."""
    beeps = np.zeros(round(duration_s * sample_rate))
    while True:
        count, on_s = int(rng.integers(1, 6)), rng.uniform(0.06, 0.5)
        off_s, pause_s = on_s * rng.uniform(0.6, 2.0), rng.uniform(0.8, 6.0)
        if not is_alarm_cadence(count, on_s, off_s, pause_s):
            break
    pitch_hz, harmonics_db = rng.uniform(*PIEZO_HZ), _harmonics(rng)
    now_s = rng.uniform(-pause_s, 0.5)
    while now_s < duration_s:
        for k in range(count):
            wave = beep(on_s, pitch_hz, harmonics_db, sample_rate, rng)
            add_at(beeps, wave, round((now_s + k * (on_s + off_s)) * sample_rate))
        now_s += count * (on_s + off_s) - off_s + pause_s
    return _over(beeps, _hum(duration_s, sample_rate, rng), rng.uniform(5, 30))


def microwave_oven(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A humming oven with its fan, that stops, and a few long beeps."""
    n = round(duration_s * sample_rate)
    beeps = np.zeros(n)
    while True:
        count, on_s = int(rng.integers(1, 6)), rng.uniform(0.2, 1.2)
        off_s = on_s * rng.uniform(0.5, 1.5)
        if not is_alarm_cadence(count, on_s, off_s, np.inf):
            break
    pitch_hz, harmonics_db = rng.uniform(*PIEZO_HZ), _harmonics(rng)
    done_s = rng.uniform(0, 0.8 * duration_s)
    for k in range(count):
        wave = beep(on_s, pitch_hz, harmonics_db, sample_rate, rng)
        add_at(beeps, wave, round((done_s + k * (on_s + off_s)) * sample_rate))
    hum = _hum(duration_s, sample_rate, rng)
    hum[round(done_s * sample_rate) :] *= np.float32(10 ** (-rng.uniform(15, 60) / 20))
    return _over(beeps, hum, rng.uniform(5, 25))


def kitchen_timer(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Fast groups of two to five beeps, or a spring that rings out."""
    n = round(duration_s * sample_rate)
    sound = np.zeros(n)
    if rng.random() < 0.3:
        length_s, rate_hz = rng.uniform(1.0, 2.5), rng.uniform(12, 30)
        begin_s, bell_hz = rng.uniform(0, duration_s / 2), np.exp(rng.uniform(np.log(1500), np.log(6000), 3))
        for k in range(int(length_s * rate_hz)):
            stroke = sum(_bell(float(hz), 0.15, sample_rate, rng) for hz in bell_hz) * (1 - k / (length_s * rate_hz))
            add_at(sound, np.asarray(stroke), round((begin_s + k / rate_hz) * sample_rate))
        return sound.astype(np.float32)
    while True:
        count, on_s = int(rng.integers(2, 6)), rng.uniform(0.03, 0.11)
        off_s, pause_s = on_s * rng.uniform(0.6, 1.5), rng.uniform(0.3, 1.1)
        if not is_alarm_cadence(count, on_s, off_s, pause_s):
            break
    pitch_hz, harmonics_db = rng.uniform(*PIEZO_HZ), _harmonics(rng)
    now_s = rng.uniform(-1.0, duration_s / 2)
    while now_s < duration_s:
        for k in range(count):
            wave = beep(on_s, pitch_hz, harmonics_db, sample_rate, rng)
            add_at(sound, wave, round((now_s + k * (on_s + off_s)) * sample_rate))
        now_s += count * (on_s + off_s) - off_s + pause_s
    return sound.astype(np.float32)


def door_bell(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Two bars struck one after the other, once or twice: no siren, whose tones go on."""
    sound = np.zeros(round(duration_s * sample_rate))
    high_hz = rng.uniform(500, 1400)
    low_hz = high_hz / rng.choice((1.25, 4 / 3, 6 / 5, 1.5))
    gap_s, decay_s = rng.uniform(0.35, 0.8), rng.uniform(0.25, 1.0)
    now_s = rng.uniform(-0.3, max(0.1, duration_s - 2 * gap_s))
    for _ in range(int(rng.integers(1, 3))):
        for pitch_hz in (high_hz, low_hz):
            for partial, level in ((1.0, 1.0), (2.76, rng.uniform(0, 0.4)), (5.4, rng.uniform(0, 0.15))):
                wave = level * _bell(pitch_hz * partial, decay_s / partial, sample_rate, rng)
                add_at(sound, wave, round(now_s * sample_rate))
            now_s += gap_s
        now_s += rng.uniform(0.3, 1.5)
    return sound.astype(np.float32)


def _harmonics(rng: np.random.Generator) -> tuple[float, ...]:
    first_db = rng.uniform(-45, -6)
    return first_db, first_db - rng.uniform(2, 12)


def _bell(pitch_hz: float, decay_s: float, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    time_s = np.arange(round(5 * decay_s * sample_rate)) / sample_rate
    if pitch_hz >= 0.48 * sample_rate:
        return np.zeros_like(time_s)
    return np.asarray(np.sin(2 * np.pi * pitch_hz * time_s + rng.uniform(0, 6)) * np.exp(-time_s / decay_s))


def _hum(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A transformer or a motor at twice the mains' frequency, and its fan; RMS 1."""
    n = round(duration_s * sample_rate)
    phase = 4 * np.pi * rng.choice(MAINS_HZ) * np.arange(n) / sample_rate
    hum = np.asarray(coloured_noise(n, rng, slope=rng.uniform(0.6, 1.8)) * rng.uniform(0.2, 1.5), dtype=np.float64)
    for order in range(1, 9):
        hum += rng.uniform(0, 1.2) / order * np.sin(order * phase + rng.uniform(0, 6))
    return (hum / np.std(hum)).astype(np.float32)


def _over(beeps: NDArray[np.float64], machine: Samples, snr_db: float) -> Samples:
    """Return beeps over a machine, the beeps' loudest `snr_db` over the machine's RMS."""
    level = rms(machine) * 10 ** (snr_db / 20)
    return np.asarray(machine + beeps * level, dtype=np.float32)


HOUSE_BEEPS: dict[str, Maker] = {
    "reversing_lorry": reversing_lorry,
    "fridge_door": fridge_door,
    "microwave_oven": microwave_oven,
    "kitchen_timer": kitchen_timer,
    "door_bell": door_bell,
}
