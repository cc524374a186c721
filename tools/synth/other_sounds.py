"""Synthesised sounds that are no alarm, many of them similar to one: beeps, rings, birds, music, clicks and noises.

Does not know: alarms, beyond the cadences, and the beeps without one, that no sound here may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.synth.acoustics import add_at, coloured_noise
from tools.synth.alarm_sounds import beep
from tools.synth.european_alarms import is_beeper

Samples = NDArray[np.float32]
Maker = Callable[[float, int, np.random.Generator], Samples]

_DTMF_HZ = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))


def make_other(duration_s: float, sample_rate: int, rng: np.random.Generator, kind: str | None = None) -> Samples:
    """Return one of KINDS (any by default): float32 (n,) of `duration_s`, peak 1 or silence."""
    maker = KINDS[kind if kind is not None else str(rng.choice(list(KINDS)))]
    samples = maker(duration_s, sample_rate, rng)
    peak = float(np.max(np.abs(samples), initial=0.0))
    return samples if peak == 0.0 else samples / np.float32(peak)


def is_alarm_cadence(count: int, on_s: float, off_s: float, pause_s: float) -> bool:
    """True if groups of beeps come near temporal-three or temporal-four (twice the tolerance)."""
    three = count == 3 and 0.35 <= on_s <= 0.65 and 0.35 <= off_s <= 0.65 and pause_s >= 0.9
    four = count == 4 and 0.06 <= on_s <= 0.16 and 0.05 <= off_s <= 0.16 and pause_s >= 1.3
    return three or four


def _empty(duration_s: float, sample_rate: int) -> Samples:
    return np.zeros(round(duration_s * sample_rate), dtype=np.float32)


def _put(samples: Samples, wave: NDArray[Any], start_s: float, sample_rate: int) -> None:
    """Add a wave that begins at `start_s`, cut off at both ends of the samples."""
    add_at(samples, wave.astype(np.float32), round(start_s * sample_rate))


def _harmonics(rng: np.random.Generator) -> tuple[float, ...]:
    first_db = rng.uniform(-45, -6)
    return tuple(first_db - rng.uniform(2, 12) * k for k in range(rng.integers(1, 5)))


def _pitch(on_s: float, off_s: float, rng: np.random.Generator) -> float:
    """Often where alarms sound, sometimes anywhere; no beeper's, if what goes on is `on_s` of tone after `off_s`."""
    while True:
        where = rng.random()
        if where < 0.35:
            pitch_hz = rng.uniform(2500, 3900)
        elif where < 0.45:
            pitch_hz = rng.uniform(480, 560)
        else:
            pitch_hz = float(np.exp(rng.uniform(np.log(300), np.log(5500))))
        if not is_beeper(pitch_hz, on_s, off_s):
            return pitch_hz


def _grouped(
    duration_s: float,
    sample_rate: int,
    rng: np.random.Generator,
    count: int,
    on_s: float,
    off_s: float,
    pause_s: float,
) -> Samples:
    """Equal beeps in groups, entered at any phase."""
    samples = _empty(duration_s, sample_rate)
    # the longest gap tells: with it, beeps come in groups, or one by one
    pitch_hz, harmonics_db = _pitch(on_s, pause_s, rng), _harmonics(rng)
    glide = rng.uniform(-0.3, 0.3) if rng.random() < 0.2 else 0.0
    period_s = count * on_s + (count - 1) * off_s + pause_s
    now_s = -rng.uniform(0, period_s) if rng.random() < 0.7 else rng.uniform(0, duration_s)
    while now_s < duration_s:
        for _ in range(count):
            _put(samples, beep(on_s, pitch_hz, harmonics_db, sample_rate, rng, glide=glide), now_s, sample_rate)
            now_s += on_s + off_s
        now_s += pause_s - off_s
    return samples


def beeps(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Any rhythm of beeps that is neither temporal-three nor temporal-four."""
    while True:
        count = int(rng.integers(1, 9))
        on_s = float(np.exp(rng.uniform(np.log(0.03), np.log(1.2))))
        off_s = on_s * float(np.exp(rng.uniform(np.log(0.4), np.log(2.5))))
        pause_s = off_s * float(np.exp(rng.uniform(0, np.log(15))))
        if not is_alarm_cadence(count, on_s, off_s, pause_s):
            return _grouped(duration_s, sample_rate, rng, count, on_s, off_s, pause_s)


def near_smoke_alarm(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """The pulses of temporal-three in groups of another number, or without the pause."""
    on_s, off_s = rng.uniform(0.4, 0.6, 2)
    count = int(rng.choice((1, 2, 4, 5, 6)))
    pause_s = float(off_s) if rng.random() < 0.5 else rng.uniform(0.9, 2.5)
    return _grouped(duration_s, sample_rate, rng, count, float(on_s), float(off_s), pause_s)


def near_co_alarm(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """The pulses of temporal-four in groups of another number."""
    on_s, off_s = rng.uniform(0.08, 0.13, 2)
    count = int(rng.choice((1, 2, 3, 5, 6, 8)))
    return _grouped(duration_s, sample_rate, rng, count, float(on_s), float(off_s), rng.uniform(0.6, 6.0))


def low_battery_chirp(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """The single short chirp of a detector that wants a battery."""
    samples = _empty(duration_s, sample_rate)
    wave = beep(rng.uniform(0.02, 0.15), rng.uniform(2600, 3700), _harmonics(rng), sample_rate, rng)
    _put(samples, wave, rng.uniform(0, duration_s), sample_rate)
    return samples


def reversing_beeper(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Equal beeps without end."""
    samples = _empty(duration_s, sample_rate)
    pitch_hz, harmonics_db = rng.uniform(700, 3000), _harmonics(rng)
    on_s = rng.uniform(0.3, 0.65)
    off_s = on_s * rng.uniform(0.8, 1.25)
    now_s = -rng.uniform(0, 1.2) if rng.random() < 0.7 else rng.uniform(0, duration_s)
    while now_s < duration_s:
        _put(samples, beep(on_s, pitch_hz, harmonics_db, sample_rate, rng), now_s, sample_rate)
        now_s += on_s + off_s
    return samples


def alarm_clock(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Four fast beeps and a short pause, again and again."""
    on_s = rng.uniform(0.04, 0.13)
    count = int(rng.choice((2, 3, 4, 4, 4)))
    return _grouped(duration_s, sample_rate, rng, count, on_s, on_s * rng.uniform(0.7, 1.4), rng.uniform(0.25, 1.0))


def appliance(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A microwave oven or a washing machine that is done: a few long beeps, or a short melody."""
    samples = _empty(duration_s, sample_rate)
    harmonics_db, pitch_hz = _harmonics(rng), rng.uniform(900, 4200)
    on_s = float(rng.choice((rng.uniform(0.15, 0.32), rng.uniform(0.7, 1.3))))
    off_s = rng.uniform(0.2, 1.2)
    melodic = rng.random() < 0.3
    now_s = rng.uniform(-1.0, duration_s)
    for _ in range(rng.integers(1, 7)):
        tone_hz = pitch_hz * 2 ** (rng.integers(-5, 6) / 12) if melodic else pitch_hz
        _put(samples, beep(on_s, tone_hz, harmonics_db, sample_rate, rng), now_s, sample_rate)
        now_s += on_s + off_s
    return samples


def telephone(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Ringing, ring-back, busy and dialling."""
    samples = _empty(duration_s, sample_rate)
    kind = rng.choice(("warble", "ring-back", "busy", "dialling"))
    now_s = rng.uniform(-2.0, 1.0)
    if kind == "dialling":
        while now_s < duration_s:
            pair = [float(rng.choice(row)) for row in _DTMF_HZ]
            on_s = rng.uniform(0.06, 0.3)
            for tone_hz in pair:
                _put(samples, beep(on_s, tone_hz, (), sample_rate, rng), now_s, sample_rate)
            now_s += on_s + rng.uniform(0.04, 0.4)
        return samples
    if kind == "warble":
        pitch_hz, ratio, turn_s = rng.uniform(500, 2500), rng.uniform(1.1, 1.6), 1 / rng.uniform(12, 40)
        on_s, off_s = rng.uniform(0.3, 2.0), rng.uniform(0.2, 4.0)
        harmonics_db = _harmonics(rng)
        while now_s < duration_s:
            for k in range(max(1, round(on_s / turn_s))):
                wave = beep(turn_s, pitch_hz * ratio ** (k % 2), harmonics_db, sample_rate, rng)
                _put(samples, wave, now_s + k * turn_s, sample_rate)
            now_s += on_s + off_s
        return samples
    tones_hz = ((440, 480), (400, 450), (425,)) if kind == "ring-back" else ((480, 620), (400,), (425,))
    chosen = tones_hz[rng.integers(3)]
    on_s, off_s = (rng.uniform(0.8, 2.0), rng.uniform(1, 4)) if kind == "ring-back" else (0.5, 0.5)
    while now_s < duration_s:
        for tone_hz in chosen:
            _put(samples, beep(on_s, tone_hz, (), sample_rate, rng), now_s, sample_rate)
        now_s += on_s + off_s
    return samples


def tone(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A steady tone, with or without beginning and end, perhaps trembling."""
    samples = _empty(duration_s, sample_rate)
    length_s = duration_s if rng.random() < 0.5 else rng.uniform(0.3, duration_s)
    wave = beep(length_s, _pitch(length_s, 0.0, rng), _harmonics(rng), sample_rate, rng)
    if rng.random() < 0.4:
        time_s = np.arange(len(wave)) / sample_rate
        tremolo = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.5, 15) * time_s)
        wave *= tremolo.astype(np.float32)
    _put(samples, wave, rng.uniform(0, duration_s - length_s), sample_rate)
    return samples


def sweep(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A pitch that goes one way once: no siren comes back from nowhere."""
    samples = _empty(duration_s, sample_rate)
    length_s = rng.uniform(0.2, 0.35 * duration_s)
    wave = beep(length_s, rng.uniform(400, 2500), _harmonics(rng), sample_rate, rng, glide=rng.uniform(-1, 1))
    _put(samples, wave, rng.uniform(0, duration_s - length_s), sample_rate)
    return samples


def engine(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A motor: many harmonics of a low tone that drifts slowly."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    drift = 1 + rng.uniform(0, 0.25) * np.sin(2 * np.pi * time_s / rng.uniform(2, 12) + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(rng.uniform(25, 280) * drift) / sample_rate
    wave = 0.1 * coloured_noise(n, rng, slope=1.0).astype(np.float64)
    for order in range(1, 20):
        wave += rng.uniform(0, 1) / order ** rng.uniform(0.2, 1.2) * np.sin(order * phase + rng.uniform(0, 6))
    return wave.astype(np.float32)


def birds(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Short notes that glide, in phrases that repeat with small changes."""
    samples = _empty(duration_s, sample_rate)
    notes = [
        (rng.uniform(0.02, 0.3), rng.uniform(1500, 6000), rng.uniform(-0.6, 0.6), rng.uniform(0.02, 0.35))
        for _ in range(rng.integers(1, 6))
    ]
    now_s, pause_s = rng.uniform(-1, 1), rng.uniform(0.1, 2.5)
    while now_s < duration_s:
        for length_s, pitch_hz, glide, gap_s in notes:
            varied_hz = pitch_hz * rng.uniform(0.97, 1.03)
            wave = beep(length_s, varied_hz, (-30.0,), sample_rate, rng, glide=glide)
            _put(samples, wave * np.hanning(len(wave)) * rng.uniform(0.5, 1), now_s, sample_rate)
            now_s += length_s + gap_s
        now_s += pause_s * rng.uniform(0.7, 1.4)
    return samples


def music(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Chords and a melody on a scale, plucked or held."""
    samples = _empty(duration_s, sample_rate)
    key_hz = rng.uniform(110, 440)
    scale = np.array((0, 2, 4, 5, 7, 9, 11))
    beat_s, now_s = rng.uniform(0.15, 0.7), rng.uniform(-0.7, 0)
    decay_s = rng.uniform(0.1, 2.0)
    harmonics_db = tuple(-rng.uniform(3, 9) * k for k in range(1, 7))
    while now_s < duration_s:
        voices = rng.integers(1, 5)
        for _ in range(voices):
            note = rng.choice(scale) + 12 * rng.integers(0, 3)
            wave = beep(beat_s * rng.integers(1, 4), key_hz * 2 ** (note / 12), harmonics_db, sample_rate, rng)
            wave = wave * np.exp(-np.arange(len(wave)) / sample_rate / decay_s)
            _put(samples, wave, now_s, sample_rate)
        now_s += beat_s * rng.choice((0.5, 1, 1, 2))
    return samples


def clicks(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Knocks, ticks and crackles: short bursts of noise, regular or not."""
    samples = _empty(duration_s, sample_rate)
    interval_s, regular = float(np.exp(rng.uniform(np.log(0.05), np.log(1.5)))), rng.random() < 0.5
    now_s = rng.uniform(0, interval_s)
    length_s, slope = rng.uniform(0.002, 0.08), rng.uniform(0, 2)
    while now_s < duration_s:
        n = max(8, round(length_s * sample_rate))
        wave = coloured_noise(n, rng, slope=slope) * np.exp(-np.arange(n) / n * 5) * rng.uniform(0.3, 1)
        _put(samples, wave, now_s, sample_rate)
        now_s += interval_s if regular else rng.exponential(interval_s) + 0.01
    return samples


def noise(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Noise of any colour, steady, gusty or in bursts."""
    n = round(duration_s * sample_rate)
    wave = coloured_noise(n, rng, slope=rng.uniform(-0.5, 2.5))
    time_s = np.arange(n) / sample_rate
    shape = rng.random()
    if shape < 0.3:
        wave = wave * (1 + 0.8 * np.sin(2 * np.pi * rng.uniform(0.1, 6) * time_s)).astype(np.float32)
    elif shape < 0.5:  # the cadence of an alarm does not make one: hammering, breathing, pumping
        period_s = rng.uniform(0.2, 3.0)
        wave = wave * (np.mod(time_s / period_s, 1) < rng.uniform(0.2, 0.8)).astype(np.float32)
    return wave


def voice(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Syllables: a buzzing source with a wandering pitch through three formants."""
    samples = _empty(duration_s, sample_rate)
    pitch_hz, now_s = rng.uniform(80, 420), rng.uniform(-0.3, 0.5)
    while now_s < duration_s:
        length_s = rng.uniform(0.08, 0.6)
        n = round(length_s * sample_rate)
        contour = pitch_hz * np.exp(np.interp(np.arange(n), np.linspace(0, n, 4), rng.normal(0, 0.12, 4)))
        phase = 2 * np.pi * np.cumsum(contour) / sample_rate
        formants_hz = (rng.uniform(250, 900), rng.uniform(800, 2500), rng.uniform(2200, 3500))
        wave = np.zeros(n)
        for order in range(1, int(4500 / pitch_hz)):
            tone_hz = order * pitch_hz
            level = sum(np.exp(-0.5 * ((tone_hz - f) / 160) ** 2) / (k + 1) for k, f in enumerate(formants_hz))
            wave += (level + 0.02) * np.sin(order * phase)
        _put(samples, wave * np.hanning(n) ** 0.5 * rng.uniform(0.3, 1), now_s, sample_rate)
        now_s += length_s + rng.exponential(0.12)
    return samples


KINDS: dict[str, Maker] = {
    "beeps": beeps,
    "near_smoke_alarm": near_smoke_alarm,
    "near_co_alarm": near_co_alarm,
    "low_battery_chirp": low_battery_chirp,
    "reversing_beeper": reversing_beeper,
    "alarm_clock": alarm_clock,
    "appliance": appliance,
    "telephone": telephone,
    "tone": tone,
    "sweep": sweep,
    "engine": engine,
    "birds": birds,
    "music": music,
    "clicks": clicks,
    "noise": noise,
    "voice": voice,
}
# those that might be taken for an alarm
BEEPING = (
    "beeps", "near_smoke_alarm", "near_co_alarm", "low_battery_chirp", "reversing_beeper", "alarm_clock", "appliance",
    "telephone",
)  # fmt: skip
# Of what recordings have not enough of; beeps are kept out, they are a matter of their own.
BACKGROUND_KINDS = tuple(kind for kind in KINDS if kind in {"engine", "birds", "music", "clicks", "noise", "voice"})
