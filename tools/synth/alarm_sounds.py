"""Synthesised alarms: smoke (temporal-three), carbon monoxide (temporal-four) and sirens.

Owns: the cadences of the standards, the timbres of the sounders, and how much of an alarm identifies it.
Does not know: rooms, distance or noise (`acoustics.py`), nor what is not an alarm (`other_sounds.py`).

Cadences: ISO 8201, NFPA 72 and UL 217 for smoke (three pulses of 0.5 s, 0.5 s apart, then 1.5 s of
pause); UL 2034 for carbon monoxide (four pulses of 0.1 s, 0.1 s apart, then 5 s of pause). Both
allow 10 % to either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

Sounder = Literal["piezo", "square"]

LABELS = ("smoke_alarm", "co_alarm", "siren")

# How many pulses a group has, and the seconds of each pulse, of the gap between two, of the pause.
TEMPORAL_THREE = (3, 0.5, 0.5, 1.5)
TEMPORAL_FOUR = (4, 0.1, 0.1, 5.0)
TOLERANCE = 0.10

# What a clip must hold before its alarm can be told from other beeps.
PROOF_PAUSE_S = {"smoke_alarm": 0.8, "co_alarm": 1.2}
# Silence before a group: without it, the clip may show the last pulses of a longer group.
PROOF_LEAD_S = {"smoke_alarm": 0.6, "co_alarm": 0.2}
# Of what is told by its sound, or by beeps that go on.
PROOF_S = 2.0
TRACE_S = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Alarm:
    """One alarm without its surroundings.

    `samples` is float32 (n,) with an RMS of 1 over the sounding parts; `pulses` holds the start and
    stop of every pulse in seconds, and `groups` the index of the first pulse of each group: none where no cadence
    identifies it.
    """

    label: str
    samples: Samples
    pulses: tuple[tuple[float, float], ...]
    groups: tuple[int, ...]

    def evidence(self, start_s: float, stop_s: float) -> bool | None:
        """Return whether the alarm can be identified from what lies between two times: True, False, or None (arguable).

        Arguable (None) is, for example, three pulses whose pause has not come yet: it may be a
        smoke alarm, and it may be a lorry that begins to reverse.
        """
        heard = [(max(a, start_s), min(b, stop_s)) for a, b in self.pulses if a < stop_s and b > start_s]
        if not self.groups:
            lasted_s = heard[-1][1] - heard[0][0] if heard else 0.0
            if lasted_s >= min(PROOF_S, 0.6 * (stop_s - start_s)):
                return True
            return None if lasted_s >= TRACE_S else False
        if not heard:
            return False
        return True if self._group_with_pause(start_s, stop_s) else None

    def _group_with_pause(self, start_s: float, stop_s: float) -> bool:
        """A whole group between silences; or a whole pause, and a group's worth of pulses around it."""
        proof_s = PROOF_PAUSE_S[self.label]
        size = TEMPORAL_THREE[0] if self.label == "smoke_alarm" else TEMPORAL_FOUR[0]
        for first in self.groups:
            last = first + size - 1
            if last >= len(self.pulses):
                continue
            begin_s, end_s = self.pulses[first][0], self.pulses[last][1]
            if begin_s >= start_s + PROOF_LEAD_S[self.label] and end_s + proof_s <= stop_s:
                return True
            if self.label == "smoke_alarm" and last + 1 < len(self.pulses):
                # the clip is as long as the cadence: it always holds one pause and three pulses
                next_s = self.pulses[last + 1][0]
                around = [(a, b) for a, b in self.pulses if a < stop_s and b > start_s]
                heard_s = sum(min(b, stop_s) - max(a, start_s) for a, b in around)
                if end_s >= start_s and next_s <= stop_s and heard_s >= 0.8 * size * (self.pulses[first][1] - begin_s):
                    return True
        return False


def make_alarm(
    label: str, duration_s: float, sample_rate: int, rng: np.random.Generator, sounder: Sounder | None = None
) -> Alarm:
    """Return an alarm of one of LABELS, at least `duration_s` long, beginning with its first pulse.

    sounder: Of a cadenced alarm: a piezo near 3.1 kHz, or a square wave near 520 Hz; None: any.
    """
    if label == "siren":
        return _siren(duration_s, sample_rate, rng)
    cadence = TEMPORAL_THREE if label == "smoke_alarm" else TEMPORAL_FOUR
    return _cadenced(label, cadence, duration_s, sample_rate, sounder, rng)


def active_rms(samples: Samples, pulses: tuple[tuple[float, float], ...], sample_rate: int) -> float:
    """Return the RMS over the sounding parts alone; 0.0 where none of them lies within the samples."""
    parts = [samples[max(0, int(a * sample_rate)) : max(0, int(b * sample_rate))] for a, b in pulses]
    sounding = np.concatenate(parts) if parts else samples[:0]
    return float(np.sqrt(np.mean(sounding**2))) if sounding.size else 0.0


def beep(
    duration_s: float,
    pitch_hz: float,
    harmonics_db: tuple[float, ...],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    glide: float = 0.0,
) -> Samples:
    """Return one pulse of a sounder: a tone, its harmonics (level of the 2nd, 3rd, ... in dB), soft edges.

    `glide` is the relative change of pitch from beginning to end.
    """
    n = round(duration_s * sample_rate)
    position = np.linspace(0.0, 1.0, n, endpoint=False)
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + glide * (position - 0.5))) / sample_rate
    wave = np.sin(phase + rng.uniform(0, 2 * np.pi))
    top_hz = pitch_hz * (1 + abs(glide) / 2)
    for order, level_db in enumerate(harmonics_db, start=2):
        if order * top_hz < 0.48 * sample_rate:  # above it would fold down
            wave += 10 ** (level_db / 20) * np.sin(order * phase + rng.uniform(0, 2 * np.pi))
    return (wave * _edges(n, sample_rate, rng)).astype(np.float32)


def _edges(n: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """An envelope that swells within milliseconds, as a piezo or a small loudspeaker does."""
    time_s = np.arange(n) / sample_rate
    rise_s, fall_s = rng.uniform(0.0005, 0.012), rng.uniform(0.0005, 0.012)
    ringing = np.minimum(1.0, (n / sample_rate - time_s) / fall_s)
    return np.asarray((1 - np.exp(-time_s / rise_s)) * ringing)


def _voice(sounder: Sounder | None, rng: np.random.Generator) -> tuple[float, tuple[float, ...]]:
    """Pitch and harmonics of a domestic sounder."""
    # 520 Hz, square: the low-frequency sounder that wakes more sleepers (NFPA 72); a small case rounds it off
    if (sounder or ("square" if rng.random() < 0.25 else "piezo")) == "square":
        dulled_db = rng.uniform(0, 40) if rng.random() < 0.5 else 0.0
        odd = tuple(-200.0 if k % 2 == 0 else -20 * np.log10(k) - dulled_db for k in range(2, 14))
        return rng.uniform(490, 550), odd
    first_db = rng.uniform(-60, -12)
    return rng.uniform(2600, 3700), (first_db, first_db - rng.uniform(0, 12))


def _cadenced(
    label: str,
    cadence: tuple[int, float, float, float],
    duration_s: float,
    sample_rate: int,
    sounder: Sounder | None,
    rng: np.random.Generator,
) -> Alarm:
    """Groups of equal pulses; the whole clock and every interval stray within the tolerance."""
    count, on_s, off_s, pause_s = cadence
    clock = 1 + rng.uniform(-0.6, 0.6) * TOLERANCE
    spread = [1 + rng.uniform(-0.4, 0.4) * TOLERANCE for _ in range(3)]
    on_s, off_s, pause_s = (v * clock * s for v, s in zip((on_s, off_s, pause_s), spread, strict=True))
    pitch_hz, harmonics_db = _voice(sounder, rng)
    glide = rng.uniform(-0.25, 0.25) if rng.random() < 0.15 else 0.0

    pulses: list[tuple[float, float]] = []
    groups: list[int] = []
    now_s = 0.0
    while now_s < duration_s:
        groups.append(len(pulses))
        for _ in range(count):
            pulses.append((now_s, now_s + on_s))
            now_s += on_s + off_s
        now_s += pause_s - off_s
    samples = np.zeros(round(now_s * sample_rate) + 1, dtype=np.float32)
    for start_s, stop_s in pulses:
        # a crystal does not stray within an alarm; a supply voltage does, a little
        wave = beep(
            stop_s - start_s,
            pitch_hz * rng.uniform(0.998, 1.002),
            harmonics_db,
            sample_rate,
            rng,
            glide=glide,
        )
        first = round(start_s * sample_rate)
        samples[first : first + len(wave)] = wave
    return _unit(label, samples, pulses, groups, sample_rate)


def _siren(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Alarm:
    """Wail, yelp or hi-lo, electronic or mechanical, passing by or standing."""
    n = round(duration_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    kind = rng.choice(("wail", "yelp", "hi-lo"))
    if kind == "hi-lo":
        low_hz = rng.uniform(340, 750)
        ratio = rng.choice((4 / 3, 1.25, 1.5, rng.uniform(1.12, 1.6)))
        step_s = rng.uniform(0.45, 1.1)
        turn = np.mod(time_s / step_s + rng.uniform(0, 2), 2.0) < 1
        # the tone does not jump: a horn or an oscillator takes a few milliseconds
        lag = max(1, round(rng.uniform(0.002, 0.04) * sample_rate))
        padded = np.concatenate([np.full(lag - 1, turn[0], dtype=float), turn.astype(float)])
        smooth = np.convolve(padded, np.full(lag, 1 / lag), mode="valid")
        pitch_hz = low_hz * ratio**smooth
    else:
        period_s = rng.uniform(2.5, 8.0) if kind == "wail" else rng.uniform(0.16, 0.6)
        low_hz, high_hz = rng.uniform(350, 800), rng.uniform(1000, 1900)
        rise = rng.uniform(0.3, 0.7) if kind == "wail" else rng.uniform(0.3, 0.9)
        position = np.mod(time_s / period_s + rng.uniform(), 1.0)
        ramp = np.where(position < rise, position / rise, (1 - position) / (1 - rise))
        bend = rng.uniform(0.6, 1.6)  # charging and discharging, or a motor gaining speed
        pitch_hz = low_hz * (high_hz / low_hz) ** (ramp**bend)
    pitch_hz = pitch_hz * passing(time_s, rng)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate
    wave = np.sin(phase)
    odd_only = rng.random() < 0.4
    slope_db = rng.uniform(4, 14) if rng.random() < 0.7 else rng.uniform(14, 60)  # a horn, or a bare oscillator
    for order in range(2, 10):
        if odd_only and order % 2 == 0:
            continue
        audible = order * pitch_hz < 0.48 * sample_rate
        level = 10 ** (-slope_db * np.log2(order) / 20)
        wave += level * audible * np.sin(order * phase + rng.uniform(0, 2 * np.pi))
    # approaching, leaving, turning corners
    swell_db = rng.uniform(0, 5) * np.sin(2 * np.pi * time_s / rng.uniform(3, 20) + rng.uniform(0, 6))
    samples = (wave * 10 ** (swell_db / 20)).astype(np.float32)
    return _unit("siren", samples, [(0.0, n / sample_rate)], [], sample_rate)


def passing(time_s: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The Doppler factor of a vehicle that drives by (1 where it stands)."""
    if rng.random() < 0.5:
        return np.ones_like(time_s)
    speed, nearest_m = rng.uniform(5, 30), rng.uniform(5, 60)
    along_m = speed * (time_s - rng.uniform(-5, time_s[-1] + 5))
    return np.asarray(1 / (1 + speed * along_m / np.hypot(along_m, nearest_m) / 343.0))


def _unit(
    label: str,
    samples: Samples,
    pulses: list[tuple[float, float]],
    groups: list[int],
    sample_rate: int,
) -> Alarm:
    rms = active_rms(samples, tuple(pulses), sample_rate)
    return Alarm(label, samples / np.float32(rms), tuple(pulses), tuple(groups))
