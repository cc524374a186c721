"""Synthesised alarms of Europe: two-tone sirens, and smoke alarms that beep without a cadence (EN 14604).

Owns: the tones and tempos that countries prescribe, and the timbres of horns and of loudspeakers.
Does not know: the cadenced alarms (`alarm_sounds.py`), rooms, distance or noise (`acoustics.py`).

Tones and tempos: France, order of 30 October 1987 on warning devices of emergency vehicles (435 Hz within 2 %, then
580 Hz for the police, 732 Hz for the gendarmerie, 651 Hz for ambulances, at 50 to 60 cycles a minute; 488 Hz for the
fire brigade, at 25 to 30). Germany, DIN 14610 (a fourth apart between 360 and 630 Hz; low, high, low, high within 2.5
to 3.5 s). Italy, ministerial decree of 17 October 1980 (392 and 660 Hz within 5 %; the tempo is this module's).
EN 14604 prescribes no cadence, and no fundamental above 3.5 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.synth.alarm_sounds import Alarm, active_rms, beep, passing

Samples = NDArray[np.float32]
Range = tuple[float, float]

FRENCH_CYCLE_S = (60 / 60, 60 / 50)
FRENCH_FIRE_CYCLE_S = (60 / 30, 60 / 25)


@dataclass(frozen=True, slots=True)
class TwoTone:
    """A siren of two tones in turn: the lower one, the ratio of the higher one to it, and the time of both together."""

    low_hz: Range
    ratio: Range
    cycle_s: Range


def _tones(low_hz: float, high_hz: float, tolerance: float, cycle_s: Range) -> TwoTone:
    return TwoTone(
        (low_hz * (1 - tolerance), low_hz * (1 + tolerance)),
        (high_hz / low_hz * (1 - tolerance / 2), high_hz / low_hz * (1 + tolerance / 2)),
        cycle_s,
    )


SIRENS: dict[str, TwoTone] = {
    "french_police": _tones(435, 580, 0.02, FRENCH_CYCLE_S),
    "french_gendarmerie": _tones(435, 732, 0.02, FRENCH_CYCLE_S),
    "french_ambulance": _tones(435, 651, 0.02, FRENCH_CYCLE_S),
    "french_fire_brigade": _tones(435, 488, 0.02, FRENCH_FIRE_CYCLE_S),
    "german": TwoTone((360, 630 * 3 / 4), (4 / 3, 4 / 3), (2.5 / 2, 3.5 / 2)),
    "italian": _tones(392, 660, 0.05, (0.6, 1.2)),
}
# Beepers: the pitch of a piezo, and the seconds of a pulse and of the gap between two. A reversing lorry beeps lower
# and slower; the pulses of temporal-three are longer.
BEEPER_HZ = (2700.0, 3500.0)
BEEPER_ON_S = (0.08, 0.3)
BEEPER_GAP = (0.4, 1.3)  # of the pulse
STEADY = 0.4  # of the beepers sound without a gap


def make_two_tone_siren(
    duration_s: float, sample_rate: int, rng: np.random.Generator, name: str | None = None
) -> Alarm:
    """Return one of SIRENS (any by default), at least `duration_s` long: blown by compressed air, or electronic."""
    siren = SIRENS[name if name is not None else str(rng.choice(list(SIRENS)))]
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    low_hz, ratio, cycle_s = (rng.uniform(*span) for span in (siren.low_hz, siren.ratio, siren.cycle_s))
    is_high = np.mod(time_s / cycle_s + rng.uniform(), 1.0) < 0.5
    blown = rng.random() < 0.5
    doppler = passing(time_s, rng)
    slope_db = rng.uniform(2, 8) if blown else rng.uniform(6, 20)  # from one octave of harmonics to the next
    samples = np.zeros(n)
    for sounding, pitch_hz in ((~is_high, low_hz), (is_high, low_hz * ratio)):
        # two horns of a pair are tuned to beat against each other
        detuned = (1.0, 1.0 + rng.uniform(0.001, 0.006)) if blown else (1.0,)
        tone = sum(_harmonic(pitch_hz * factor * doppler, slope_db, sample_rate, rng) for factor in detuned)
        samples += tone * _swelling(sounding, sample_rate, rng.uniform(0.02, 0.08) if blown else 0.004)
    return _unit("siren", samples.astype(np.float32), [(0.0, n / sample_rate)], sample_rate)


def make_beeper(duration_s: float, sample_rate: int, rng: np.random.Generator, *, steady: bool | None = None) -> Alarm:
    """Return a smoke alarm of EN 14604 without a cadence, at least `duration_s` long: one tone, or fast equal beeps."""
    pitch_hz = rng.uniform(*BEEPER_HZ)
    first_db = rng.uniform(-60, -12)
    harmonics_db = (first_db, first_db - rng.uniform(0, 12))
    if steady if steady is not None else rng.random() < STEADY:
        wave = beep(duration_s, pitch_hz, harmonics_db, sample_rate, rng)
        return _unit("smoke_alarm", wave, [(0.0, duration_s)], sample_rate)
    on_s = rng.uniform(*BEEPER_ON_S)
    off_s = on_s * rng.uniform(*BEEPER_GAP)
    count = int(np.ceil(duration_s / (on_s + off_s)))
    pulses = [(k * (on_s + off_s), k * (on_s + off_s) + on_s) for k in range(count)]
    samples = np.zeros(round(count * (on_s + off_s) * sample_rate) + 1, dtype=np.float32)
    for start_s, stop_s in pulses:
        wave = beep(stop_s - start_s, pitch_hz * rng.uniform(0.998, 1.002), harmonics_db, sample_rate, rng)
        first = round(start_s * sample_rate)
        samples[first : first + len(wave)] = wave
    return _unit("smoke_alarm", samples, pulses, sample_rate)


def is_beeper(pitch_hz: float, on_s: float, off_s: float) -> bool:
    """True if beeps without end come near EN 14604's; `off_s` 0 for one tone. No negative may sound so."""
    low_hz, high_hz = BEEPER_HZ[0] * 0.95, BEEPER_HZ[1] * 1.05
    if not low_hz <= pitch_hz <= high_hz:
        return False
    return off_s == 0.0 or (on_s <= BEEPER_ON_S[1] * 1.2 and off_s <= on_s * BEEPER_GAP[1] * 1.5)


def _harmonic(
    pitch_hz: NDArray[np.float64], slope_db: float, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate
    wave = np.zeros(len(pitch_hz))
    for order in range(1, 13):
        audible = order * pitch_hz < 0.48 * sample_rate  # above it would fold down
        level = 10 ** (-slope_db * np.log2(order) / 20)
        wave += level * audible * np.sin(order * phase + rng.uniform(0, 2 * np.pi))
    return wave


def _swelling(sounding: NDArray[np.bool_], sample_rate: int, rise_s: float) -> NDArray[np.float64]:
    """Return the gain of a horn whose valve opens and shuts; (n,)."""
    lag = max(1, round(rise_s * sample_rate))
    padded = np.concatenate([np.full(lag - 1, float(sounding[0])), sounding.astype(float)])
    return np.asarray(np.convolve(padded, np.full(lag, 1 / lag), mode="valid"))


def _unit(label: str, samples: Samples, pulses: list[tuple[float, float]], sample_rate: int) -> Alarm:
    level = np.float32(active_rms(samples, tuple(pulses), sample_rate))
    return Alarm(label, samples / level, tuple(pulses), ())
