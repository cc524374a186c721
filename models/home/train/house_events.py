"""The labelled sounds that a household model is judged with: 160 recordings, and their list for `tools.evaluate_model`.

Owns: which sounds, and the fold of ESC-10 that each goes with (its model was not trained on it).
Does not know: backgrounds, scenes, models.

Twelve of each label of ESC-10, three a fold; of the babies eight are other phones' (donateacry-corpus). Ten each of
alarms, sirens and speech: a held-out speaker's digits, espeak-ng, flite and strangers of asterisk's prompts, in voices
that nothing was trained on.
"""

from __future__ import annotations

import csv
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from models.home.train.donateacry import FOLDER, JUDGED, LABEL
from models.home.train.house_sources import LANGUAGES, sources
from tools.synth.alarm_sounds import LABELS as ALARMS
from tools.synth.alarm_sounds import make_alarm
from tools.synth.espeak import SPEECH
from tools.synth.held_out_speech import SENTENCES, espeak
from tools.synth.voices import JUDGING_FLITE_VOICES, JUDGING_SENTENCES, Voice, say
from tools.training.corpus import HELD_OUT_SPEAKER
from tools.training.dataset import COLUMNS
from tools.training.recordings import audio_files, read_audio, without_padding, write_wav

Samples = NDArray[np.float32]

SAMPLE_RATE = 32_000
FOLDS = (1, 2, 3, 4)
PER_FOLD = 3  # recordings of each label of ESC-10
MADE = 10  # of each label without recordings in it
ALARM_S = 10.0


def write_events(data: Path, packages: Mapping[str, Path], out: Path, seed: int, *, unseen: bool = False) -> Path:
    """Write what is made under `out`, and the list `out/events.csv` (file, label, fold); returns the list's path.

    unseen: Leave ESC-10 out, for a model that was trained on all of it.

    Raises:
        EdgeaudioError: Recordings or a program are missing.
    """
    rows = [] if unseen else list(_of_esc10(data))
    for index, name in enumerate(JUDGED):
        file = data / FOLDER / name
        if not file.is_file():
            raise EdgeaudioError(f"{file}: is missing; give --data")
        rows.append((file, LABEL, FOLDS[index % len(FOLDS)]))
    strangers = sources(data, packages, "held_out")
    digits = sorted((data / "speech_digits").glob(f"*_{HELD_OUT_SPEAKER}_*.wav"))
    for label in (*ALARMS, SPEECH):
        for number in range(MADE):
            file = out / label / f"{number:02}.wav"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng((seed, zlib.crc32(label.encode()), number))
                sound = _speech(number, digits, strangers, rng) if label == SPEECH else _alarm(label, rng)
                write_wav(file, 0.5 * sound / np.float32(np.abs(sound).max()), SAMPLE_RATE)
            rows.append((file, label, FOLDS[number % len(FOLDS)]))
    listed = out / ("unseen.csv" if unseen else "events.csv")
    unfinished = listed.with_suffix(f".{os.getpid()}")  # another evaluation may read the list
    with unfinished.open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((path.resolve(), label, fold) for path, label, fold in rows)
    unfinished.replace(listed)
    return listed


def _of_esc10(data: Path) -> Iterator[tuple[Path, str, int]]:
    paths = audio_files(data / "esc10", "give --data")
    for label in sorted({path.parent.name for path in paths}):
        for fold in FOLDS:
            of_fold = [path for path in paths if path.parent.name == label and path.name[0] == str(fold)]
            # evenly over the fold: neighbours are often of one original recording
            count = PER_FOLD - 2 if label == LABEL else PER_FOLD
            picked = [of_fold[round((k + 0.5) * len(of_fold) / count - 0.5)] for k in range(count)]
            yield from ((path, label, fold) for path in picked)


def _alarm(label: str, rng: np.random.Generator) -> Samples:
    return make_alarm(label, ALARM_S, SAMPLE_RATE, rng).samples[: round(ALARM_S * SAMPLE_RATE)]


def _speech(
    number: int, digits: Sequence[Path], strangers: Mapping[str, Sequence[Path]], rng: np.random.Generator
) -> Samples:
    turn = number % 4
    if turn == 0:
        return _row(digits, 4.0, rng)
    if turn == 1:
        return espeak(str(rng.choice(SENTENCES)), SAMPLE_RATE, rng)
    if turn == 2:
        voice = Voice("flite", JUDGING_FLITE_VOICES[0], float(rng.uniform(0.8, 1.25)), 50)
        return say(voice, str(rng.choice(JUDGING_SENTENCES)), SAMPLE_RATE)
    return _row(strangers[f"speech_{LANGUAGES['held_out'][number % 3]}"], 4.0, rng)


def _row(paths: Sequence[Path], duration_s: float, rng: np.random.Generator) -> Samples:
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < duration_s * SAMPLE_RATE:
        pieces.append(without_padding(read_audio(paths[int(rng.integers(len(paths)))], SAMPLE_RATE)))
        pieces.append(np.zeros(round(rng.uniform(0.05, 0.4) * SAMPLE_RATE), np.float32))
    return np.concatenate(pieces)
