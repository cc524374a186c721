"""Scenes for training and evaluation of alarm models: an alarm, or a similar sound, in other sound.

Owns: how alarms, backgrounds and acoustics are combined, and the answer to a clip.
Does not know: which recordings a side may use (`corpus.py`), features, models, or how a score is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tools.synth import acoustics
from tools.synth.alarm_sounds import LABELS, Alarm, active_rms, make_alarm
from tools.synth.european_alarms import make_beeper, make_two_tone_siren
from tools.synth.house_beeps import HOUSE_BEEPS
from tools.synth.other_sounds import BACKGROUND_KINDS, make_other
from tools.synth.scenes import mixed, received, travelled
from tools.training.corpus import Corpus

Samples = NDArray[np.float32]
MakeAlarm = Callable[[float, int, np.random.Generator], Alarm]

SAMPLE_RATE = 16_000

# How often each of LABELS is drawn: a clip is shorter than the pause of a carbon-monoxide alarm, and often holds none
# of its pulses.
SHARES = (0.38, 0.42, 0.2)
# How alarms of a label sound, and how often each is drawn.
SOUNDS: dict[str, tuple[tuple[MakeAlarm, float], ...]] = {
    "smoke_alarm": ((partial(make_alarm, "smoke_alarm"), 0.65), (make_beeper, 0.35)),
    "co_alarm": ((partial(make_alarm, "co_alarm"), 1.0),),
    "siren": ((partial(make_alarm, "siren"), 0.55), (make_two_tone_siren, 0.45)),
}
HOUSE_SHARE = 0.15  # of the sounds that resemble an alarm: those of a house, each of which is made after one thing


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One training clip: float32 samples, and per label the answer and whether it counts."""

    samples: Samples
    answers: tuple[bool, ...]
    counts: tuple[bool, ...]


def training_scene(corpus: Corpus, clip_s: float, sample_rate: int, rng: np.random.Generator) -> Scene:
    """Return a clip with an alarm (45 %), with a similar sound (35 %), or with neither."""
    background = _background(corpus, clip_s, sample_rate, rng)
    kind = rng.random()
    if kind < 0.45:
        label = str(rng.choice(LABELS, p=SHARES))
        lead_s = rng.uniform(0, clip_s) if rng.random() < 0.35 else 0.0
        enter_s = 0.0 if lead_s else rng.uniform(0, 7.0)
        alarm = drawn_alarm(label, enter_s + clip_s - lead_s, sample_rate, rng)
        leave_s = enter_s + clip_s - lead_s
        if rng.random() < 0.1:  # it ends, or is switched off, in the middle
            leave_s = rng.uniform(enter_s, leave_s)
        heard = alarm.samples[round(enter_s * sample_rate) : round(leave_s * sample_rate)]
        sound = np.zeros(round(clip_s * sample_rate), dtype=np.float32)
        start = round(lead_s * sample_rate)
        sound[start : start + len(heard)] = heard[: len(sound) - start]
        evidence = alarm.evidence(enter_s - lead_s, min(leave_s, enter_s - lead_s + clip_s))
        pulses = tuple((a - enter_s + lead_s, b - enter_s + lead_s) for a, b in alarm.pulses)
        answers = tuple(name == label and evidence is True for name in LABELS)
        counts = tuple(name != label or evidence is not None for name in LABELS)
        sound = travelled(sound, sample_rate, rng)
        samples = mixed(sound, background, active_rms(sound, pulses, sample_rate), _snr_db(rng))
    elif kind < 0.80:
        sound = travelled(similar_sound(clip_s, sample_rate, rng), sample_rate, rng)
        samples = mixed(sound, background, acoustics.rms(sound), _snr_db(rng))
        answers, counts = (False,) * len(LABELS), (True,) * len(LABELS)
    else:
        samples, answers, counts = background, (False,) * len(LABELS), (True,) * len(LABELS)
    return Scene(received(samples, sample_rate, rng), answers, counts)


@dataclass(frozen=True, slots=True)
class Course:
    """How long a longer scene is, and where its alarm begins and ends."""

    begin_s: float
    end_s: float
    duration_s: float


def drawn_alarm(label: str, duration_s: float, sample_rate: int, rng: np.random.Generator) -> Alarm:
    """Return an alarm of a label as one of SOUNDS has it, at least `duration_s` long."""
    sounds = SOUNDS[label]
    make, _ = sounds[int(rng.choice(len(sounds), p=[share for _, share in sounds]))]
    return make(duration_s, sample_rate, rng)


def similar_sound(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return sound that is no alarm, and may resemble one: float32 (n,) of `duration_s`."""
    if rng.random() < HOUSE_SHARE:
        return HOUSE_BEEPS[str(rng.choice(list(HOUSE_BEEPS)))](duration_s, sample_rate, rng)
    return make_other(duration_s, sample_rate, rng)


def long_scene(
    make: MakeAlarm | None, snr_db: float, course: Course, corpus: Corpus, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Return sound of a corpus with an alarm; None: with sound similar to an alarm, throughout."""
    background = acoustics.at_level(corpus.pick(course.duration_s, sample_rate, rng), 0.0)
    if make is None:
        sound = travelled(similar_sound(course.duration_s, sample_rate, rng), sample_rate, rng)
        return received(mixed(sound, background, acoustics.rms(sound), snr_db), sample_rate, rng)
    alarm = make(course.end_s - course.begin_s, sample_rate, rng)
    heard = alarm.samples[: round((course.end_s - course.begin_s) * sample_rate)]
    sound = np.zeros(len(background), dtype=np.float32)
    start = round(course.begin_s * sample_rate)
    sound[start : start + len(heard)] = heard
    sound = travelled(sound, sample_rate, rng)
    pulses = tuple((a + course.begin_s, min(b + course.begin_s, course.end_s)) for a, b in alarm.pulses)
    return received(mixed(sound, background, active_rms(sound, pulses, sample_rate), snr_db), sample_rate, rng)


def _snr_db(rng: np.random.Generator) -> float:
    """Return an SNR from half masked to alone in a silent house, dB."""
    return float(rng.uniform(-5, 30) if rng.random() < 0.8 else rng.uniform(30, 70))


def _background(corpus: Corpus, clip_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return recordings, synthesised sound that is no beep, both, or almost nothing."""
    kind = rng.random()
    quiet = acoustics.coloured_noise(round(clip_s * sample_rate), rng, slope=rng.uniform(0, 2)) * np.float32(1e-3)
    if kind < 0.08:
        return quiet
    recorded = acoustics.at_level(corpus.pick(clip_s, sample_rate, rng), 0.0)
    if kind < 0.65:
        return quiet + recorded
    made = make_other(clip_s, sample_rate, rng, str(rng.choice(BACKGROUND_KINDS)))
    made = acoustics.at_level(travelled(made, sample_rate, rng), 0.0)
    return quiet + (made if kind < 0.8 else made + recorded * np.float32(10 ** (rng.uniform(-15, 15) / 20)))
