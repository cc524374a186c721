"""A second opinion on an alarm model: `python -m models.alarms.train.plain_alarms models/alarms --data ../shared/data`.

Owns: textbook alarms (nominal cadences, a bare sine or a square wave, no room, no microphone) over held-out recordings.
They share no code with the synthesis of the training, so that they can reveal what it lacks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.console import columns
from edgeaudio.recognise.model import load_model
from tools.training.corpus import Corpus, read_corpus
from tools.training.event_trials import onsets

SAMPLE_RATE = 16_000
LEAD_S, TAIL_S = 4.0, 3.0
SNRS_DB = (20, 10, 0)
PEAK = 0.5

Wave = NDArray[np.float64]
SHAPES: dict[str, Callable[[Wave], Wave]] = {"sine": np.sin, "square": lambda phase: np.sign(np.sin(phase))}


def tones(pitch_hz: float, on_s: float, off_s: float, count: int, pause_s: float, groups: int) -> Wave:
    """Return the phase of groups of equal pulses; NaN for silence."""
    pulse = 2 * np.pi * pitch_hz * np.arange(round(on_s * SAMPLE_RATE)) / SAMPLE_RATE
    gap, pause = (np.full(round(s * SAMPLE_RATE), np.nan) for s in (off_s, pause_s - off_s))
    return np.concatenate([*[pulse, gap] * count, pause] * groups)


# what is tried: the label that it has to be given
PLAIN = {
    "smoke_alarm": "smoke_alarm",
    "smoke_alarm, steady": "smoke_alarm",
    "smoke_alarm, fast beeps": "smoke_alarm",
    "co_alarm": "co_alarm",
    "siren": "siren",
}


def phase_of(kind: str, rng: np.random.Generator) -> Wave:
    """Return the phase of a textbook alarm of 15 s or so, one of PLAIN."""
    if kind == "smoke_alarm, steady":
        return tones(rng.uniform(2900, 3300), 15.0, 0.0, 1, 0.0, 1)
    if kind == "smoke_alarm, fast beeps":
        return tones(rng.uniform(2900, 3300), 0.15, 0.15, 50, 0.15, 1)
    if kind == "smoke_alarm":
        return tones(float(rng.choice([520, 3100, rng.uniform(2800, 3400)])), 0.5, 0.5, 3, 1.5, 4)
    if kind == "co_alarm":
        return tones(float(rng.choice([520, 3300, rng.uniform(2800, 3500)])), 0.1, 0.1, 4, 5.0, 3)
    time_s = np.arange(15 * SAMPLE_RATE) / SAMPLE_RATE
    course_of = rng.choice(["wail", "yelp", "hi-lo"])
    if course_of == "hi-lo":
        low_hz = rng.uniform(400, 500)
        pitch_hz = np.where((time_s / rng.uniform(0.5, 0.8)) % 2 < 1, low_hz, low_hz * 4 / 3)
    else:
        turns = time_s / (rng.uniform(3, 6) if course_of == "wail" else rng.uniform(0.25, 0.4))
        course = 0.5 - 0.5 * np.cos(2 * np.pi * turns) if course_of == "wail" else turns % 1
        pitch_hz = 600 + rng.uniform(600, 900) * course
    return 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE


def scene(kind: str, shape: str, snr_db: float, corpus: Corpus, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the alarm over a recording, float32 `(n,)`; the SNR is that of its sounding parts."""
    phase = phase_of(kind, rng)
    sound = np.where(np.isnan(phase), 0.0, SHAPES[shape](np.nan_to_num(phase)))
    sound /= np.sqrt(np.mean(sound[~np.isnan(phase)] ** 2))
    sound = np.pad(sound, (round(LEAD_S * SAMPLE_RATE), round(TAIL_S * SAMPLE_RATE)))
    background = corpus.pick(len(sound) / SAMPLE_RATE, SAMPLE_RATE, rng)[: len(sound)]
    background = background / max(float(np.sqrt(np.mean(background**2))), 1e-6)
    mixed = sound * 10 ** (snr_db / 20) + background
    return np.asarray(PEAK * mixed / np.abs(mixed).max(), dtype=np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how many of the alarms were found."""
    parser = argparse.ArgumentParser(prog="plain_alarms", description="A second opinion on alarms.")
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--trials", type=int, default=20, help="for each label, shape and SNR (default: 20)")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    model, corpus = load_model(options.model), read_corpus(options.data, SAMPLE_RATE, "held_out")
    rng = np.random.default_rng(options.seed)
    rows = [["alarm", "shape", *(f"{snr} dB" for snr in SNRS_DB), "other labels"]]
    for kind, label in PLAIN.items():
        for shape in SHAPES:
            row, others = [kind, shape], 0
            for snr_db in SNRS_DB:
                scenes = (scene(kind, shape, snr_db, corpus, rng) for _ in range(options.trials))
                heard = [[onset.event.label for onset in onsets(model, samples, SAMPLE_RATE)] for samples in scenes]
                row.append(f"{sum(label in labels for labels in heard)}/{options.trials}")
                others += sum(other != label for labels in heard for other in labels)
            rows.append([*row, str(others)])
    print("\n".join(columns(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
