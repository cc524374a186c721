"""Sounds that several tests of the tools need."""

from pathlib import Path

import numpy as np

from models.alarms.train.alarm_scenes import SAMPLE_RATE
from tools.synth import acoustics
from tools.synth.alarm_sounds import active_rms, make_alarm
from tools.synth.scenes import mixed
from tools.training.recordings import write_wav

SNR_DB = 15.0


def over_noise(sound, sound_rms, rng):
    """The sound in a quiet place, at a level that cameras give."""
    noise = acoustics.coloured_noise(len(sound), rng, slope=1.0)
    return acoustics.at_level(mixed(sound, noise, sound_rms, SNR_DB), -30.0)


def alarm_over_noise(label, rng):
    """Two seconds of a quiet place, then ten of an alarm in it."""
    return in_a_quiet_place(make_alarm(label, 10.0, SAMPLE_RATE, rng), rng)


def in_a_quiet_place(alarm, rng):
    """Two seconds of a quiet place, then the alarm in it."""
    sound = np.concatenate([np.zeros(2 * SAMPLE_RATE, dtype=np.float32), alarm.samples])
    return over_noise(sound, active_rms(alarm.samples, alarm.pulses, SAMPLE_RATE), rng)


def write_tones(folder: Path, sample_rate: int, rng, name: str) -> None:
    """Six tones of a second in each of the folders `high` and `low`; `name` has index and fold (of two) put in."""
    time_s = np.arange(sample_rate) / sample_rate
    for label, low_hz, high_hz in (("high", 2500, 3500), ("low", 100, 300)):
        (folder / label).mkdir(parents=True)
        for index in range(6):
            tone = 0.3 * np.sin(2 * np.pi * rng.uniform(low_hz, high_hz) * time_s)
            write_wav(
                folder / label / name.format(index=index, fold=index % 2 + 1), tone.astype(np.float32), sample_rate
            )
