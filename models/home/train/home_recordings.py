"""The training set of models/home: recordings, synthesised clips, and the list of both.

    python -m models.home.train.home_recordings --data ../shared/data --out runs/home --seed 1

Owns: which recordings the model is trained on, how many clips are synthesised, and the list (a CSV for `dataset.py`:
file, label, fold, fixed, judged). Does not know: how sounds are synthesised (`alarm_sounds.py`, `european_alarms.py`,
`other_sounds.py`, `house_beeps.py`, `texture_sounds.py`), speech (`home_speech.py`), or how a model is trained.

A synthesised clip has almost no other sound in it: training mixes recordings with it, each with its own label.

With `--backgrounds`, a folder whose sub-folders are kinds of background (as `tools.evaluate_model` takes them, made of
other recordings than those that a model is judged on), each kind gives clips too. A kind belongs to a fold: the model
of that fold has heard none of it, as little as a new house's model has. It is not judged on them: a fold is judged on
its recordings of ESC-10 alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from models.home.train import donateacry
from models.home.train.home_speech import SENTENCES, read_aloud, strung_digits, training_speakers
from tools.synth import acoustics
from tools.synth.alarm_sounds import Alarm, active_rms, make_alarm
from tools.synth.espeak import SPEECH, require_espeak
from tools.synth.european_alarms import make_beeper, make_two_tone_siren
from tools.synth.house_beeps import HOUSE_BEEPS
from tools.synth.kind_scenes import PRESENT, dealt
from tools.synth.other_sounds import BACKGROUND_KINDS, KINDS, Maker, make_other
from tools.synth.scenes import mixed, received, travelled
from tools.synth.texture_sounds import TEXTURES
from tools.training.command import first_mark
from tools.training.corpus import HALF, UNLABELLED
from tools.training.dataset import ALWAYS_TRAINED, COLUMNS
from tools.training.recordings import audio_files, read_audio, write_wav

Samples = NDArray[np.float32]
Make = Callable[[np.random.Generator], Samples]
MakeAlarm = Callable[[float, int, np.random.Generator], Alarm]

COLLECTIONS = ("esc10", "speech_digits", donateacry.FOLDER, *UNLABELLED)
SAMPLE_RATE = 32_000  # rain, fire and waves differ most where they hiss
CLIP_S = 4.0
ADVICE = f"--data must hold {', '.join(COLLECTIONS)}"
SPEECH_S = (5.0, 8.0)
LASTING_S = 5.0  # what is not told by its rhythm, as ESC-10's recordings

ALARMS = {"smoke_alarm": 700, "co_alarm": 700, "siren": 450}
EUROPEAN_ALARMS: dict[str, tuple[str, int, MakeAlarm]] = {
    "beeper": ("smoke_alarm", 350, make_beeper),
    "two_tone_siren": ("siren", 450, make_two_tone_siren),
}
# Clips in which an alarm is silent (its pause, or the time before it): as many as chance gives beside those of ALARMS.
SILENT_ALARMS = {"smoke_alarm": 6, "co_alarm": 350, "siren": 13}
OTHERS_PER_KIND = 300
BACKGROUND_CLIPS = 200  # of each kind of background
# Of each collection without a label: few recordings, which must not be lost among the many that are made up.
UNLABELLED_AGAIN = 800
TEXTURES_PER_LABEL = 12  # to every two recordings, one that is made up; with more, rain became a helicopter
STRUNG_DIGITS = 250
READ_ALOUD = 350

OTHER = "other"
# These may be sped up, too; what else is made up is told, or told apart, by its rhythm.
MOVABLE = {"digits", *TEXTURES, *UNLABELLED}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `label` is empty for a negative; `fixed` forbids another speed or another time.

    judged: False for what is left out with its fold, and never tested on.
    """

    path: Path
    label: str
    fold: int
    fixed: bool
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """One recording to make: of which kind, its number among them, and how."""

    label: str
    kind: str
    number: int
    fixed: bool
    make: Make
    fold: int = ALWAYS_TRAINED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="home_recordings", description="Makes the training set of models/home.")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings (esc10, speech_digits, ...)")
    parser.add_argument("--out", type=Path, required=True, help="folder for home.csv and what is made up")
    parser.add_argument("--backgrounds", type=Path, help="folder of backgrounds, each of its folders a kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        file = write_home_set(options.data, options.out, options.seed, backgrounds=options.backgrounds)
    except (EdgeaudioError, OSError) as error:
        print(f"home_recordings: {error}", file=sys.stderr)
        return 2
    print(file)
    with file.open(newline="") as lines:
        counts = Counter(row["label"] for row in csv.DictReader(lines))
    for label, count in sorted(counts.items()):
        print(f"{count:6} {label or 'without a label'}")
    return 0


def write_home_set(data: Path, out: Path, seed: int, *, share: float = 1.0, backgrounds: Path | None = None) -> Path:
    """Write `out/home.csv` and the recordings under `out/made` that do not exist yet; returns the list's path.

    Each recording (32 kHz, mono, 16 bit) depends on the seed, its kind and its number alone. `share` makes fewer of
    every kind, at least one.

    Raises:
        EdgeaudioError: A collection of recordings is missing under `data`, a kind of `backgrounds` holds none,
            espeak-ng is not installed, or `out` holds what another seed made.
    """
    require_espeak()
    collections = {name: audio_files(data / name, ADVICE) for name in COLLECTIONS}
    made = out / "made"
    _claim(made, seed)
    rows = [Row(path, path.parent.name, _official_fold(path), fixed=False) for path in collections["esc10"]]
    unlabelled = {name: collections[name][HALF["train"]] for name in UNLABELLED}
    folds = sorted({row.fold for row in rows})
    kinds = _kinds(training_speakers(collections["speech_digits"]), unlabelled)
    pieces = [*_pieces(kinds, share), *(_of_backgrounds(backgrounds, folds, share) if backgrounds else ())]
    shown = tqdm(pieces, desc="making", unit="file")
    rows += [Row(_made(piece, made, seed), piece.label, piece.fold, piece.fixed, judged=False) for piece in shown]
    rows += [Row(path, "", ALWAYS_TRAINED, fixed=False) for paths in unlabelled.values() for path in paths]
    rows += [
        Row(path, donateacry.LABEL, ALWAYS_TRAINED, fixed=False)
        for path in collections[donateacry.FOLDER]
        if path.name in donateacry.TRAINED
    ]
    return _write_list(out / "home.csv", rows)


def _official_fold(path: Path) -> int:
    if not path.name[0].isdigit():
        raise EdgeaudioError(f"{path}: its name must begin with its fold, as ESC-10's do (1-100032-A.ogg)")
    return int(path.name[0])


def _claim(made: Path, seed: int) -> None:
    """Reserve the folder for one seed: recordings of two seeds never mix."""
    made.mkdir(parents=True, exist_ok=True)
    if (found := first_mark(made / "seed", f"{seed}\n").strip()) != str(seed):
        raise EdgeaudioError(f"{made}: made with seed {found}, not {seed}; remove it, or give another --out")


def _pieces(kinds: Iterable[tuple[str, str, int, Make]], share: float) -> Iterator[Piece]:
    """Yield all synthesised pieces, in the list's order."""

    def numbers(count: int) -> range:
        return range(max(1, round(count * share)))

    for label, name, count, make in kinds:
        for number in numbers(count):
            yield Piece(label, name, number, fixed=name not in MOVABLE, make=make)
    languages = tuple(SENTENCES)
    for number in numbers(READ_ALOUD):
        language = languages[number % len(languages)]
        yield Piece("speech", "sentences", number, fixed=False, make=partial(_sentences, language))


def _of_backgrounds(folder: Path, folds: Sequence[int], share: float) -> Iterator[Piece]:
    """Yield clips of each kind of background; the kinds are dealt to the folds in turn, in their order."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise EdgeaudioError(f"{folder}: no folders there; --backgrounds must hold one for each kind")
    for name, fold in dealt(names, folds).items():
        paths = audio_files(folder / name, "each folder of --backgrounds must hold recordings")
        present = (folder / name / PRESENT).read_text().split() if (folder / name / PRESENT).is_file() else []
        label = SPEECH if SPEECH in present else ""
        for number in range(max(1, round(BACKGROUND_CLIPS * share))):
            make = partial(_of_background, paths[number % len(paths)])
            yield Piece(label, f"background_{name}", number, fixed=False, make=make, fold=fold)


def _kinds(
    speakers: Sequence[Sequence[Path]], unlabelled: Mapping[str, Sequence[Path]]
) -> Iterator[tuple[str, str, int, Make]]:
    """Yield label, name, count and maker of each kind."""
    for label, count in ALARMS.items():
        yield label, label, count, partial(_alarm, partial(make_alarm, label), sounding=True)
    for name, (label, count, make) in EUROPEAN_ALARMS.items():
        yield label, name, count, partial(_alarm, make, sounding=True)
    for label, count in SILENT_ALARMS.items():
        yield "", f"silent_{label}", count, partial(_alarm, partial(make_alarm, label), sounding=False)
    resembling: dict[str, Maker] = {kind: partial(make_other, kind=kind) for kind in KINDS}
    for name, maker in (resembling | HOUSE_BEEPS | PLAIN_SOUNDS).items():
        yield "", name, OTHERS_PER_KIND, partial(_other, maker)
    for name, paths in unlabelled.items():
        yield "", name, UNLABELLED_AGAIN, partial(_elsewhere, paths)
    for label, maker in TEXTURES.items():
        yield label, label, TEXTURES_PER_LABEL, partial(_texture, maker)
    yield "speech", "digits", STRUNG_DIGITS, partial(_digits, speakers)


def _made(piece: Piece, made: Path, seed: int) -> Path:
    """Return the piece's file; it is made if it does not exist."""
    file = made / (piece.label or OTHER) / f"{piece.kind}-{piece.number:04}.wav"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        # not the kind's place in a list: a kind that is added later must not change the others' sound
        rng = np.random.default_rng((seed, zlib.crc32(piece.kind.encode()), piece.number))
        unfinished = file.with_suffix(".part")
        write_wav(unfinished, piece.make(rng), SAMPLE_RATE)
        unfinished.rename(file)
    return file


def _write_list(file: Path, rows: Sequence[Row]) -> Path:
    folder = file.parent.resolve()
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow((*COLUMNS, "fixed", "judged"))
        for row in rows:
            path = row.path.resolve()
            # what lies beside the list may move with it
            named = path.relative_to(folder) if path.is_relative_to(folder) else path
            answers = ("yes" if answer else "no" for answer in (row.fixed, row.judged))
            writer.writerow((named, row.label, row.fold, *answers))
    return file


def _alarm(make: MakeAlarm, rng: np.random.Generator, *, sounding: bool) -> Samples:
    """Return a clip whose alarm can be identified; not `sounding`: one without any of its sound."""
    while True:
        # when the clip begins, in the alarm's time: before the alarm does, or at any phase of it
        start_s = -rng.uniform(0, CLIP_S - 0.1) if rng.random() < 0.35 else rng.uniform(0, 7.0)
        stop_s = start_s + CLIP_S
        alarm = make(stop_s, SAMPLE_RATE, rng)
        if rng.random() < 0.1:  # it ends, or is switched off, in the middle
            stop_s = rng.uniform(max(0.0, start_s), stop_s)
        if alarm.evidence(start_s, stop_s) is sounding:
            break
    sound = np.zeros(round(CLIP_S * SAMPLE_RATE), dtype=np.float32)
    heard = alarm.samples[round(max(0.0, start_s) * SAMPLE_RATE) : round(stop_s * SAMPLE_RATE)]
    lead = round(max(0.0, -start_s) * SAMPLE_RATE)
    sound[lead : lead + len(heard)] = heard[: len(sound) - lead]
    sound = travelled(sound, SAMPLE_RATE, rng)
    pulses = tuple((a - start_s, min(b, stop_s) - start_s) for a, b in alarm.pulses if a < stop_s)
    return _in_near_silence(sound, active_rms(sound, pulses, SAMPLE_RATE), rng)


def _other(maker: Maker, rng: np.random.Generator) -> Samples:
    sound = travelled(maker(CLIP_S, SAMPLE_RATE, rng), SAMPLE_RATE, rng)
    return _in_near_silence(sound, acoustics.rms(sound), rng)


def _elsewhere(paths: Sequence[Path], rng: np.random.Generator) -> Samples:
    """Return recordings in a row as by another microphone."""
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < LASTING_S * SAMPLE_RATE:
        recording = read_audio(paths[int(rng.integers(len(paths)))], SAMPLE_RATE)
        pieces.append(acoustics.at_level(recording, 0.0))
    return _through_air_and_microphone(np.concatenate(pieces)[: round(LASTING_S * SAMPLE_RATE)], rng)


def _of_background(path: Path, rng: np.random.Generator) -> Samples:
    """Return any stretch of a recording that is not silent, as by another microphone."""
    recording = read_audio(path, SAMPLE_RATE)
    n = round(LASTING_S * SAMPLE_RATE)
    if not recording.any():
        raise EdgeaudioError(f"{path}: is silent; remove it")
    while True:
        start = int(rng.integers(max(1, len(recording) - n)))
        stretch = recording[start : start + n]
        if stretch.any():
            return _through_air_and_microphone(stretch, rng)


def _texture(maker: Maker, rng: np.random.Generator) -> Samples:
    return _through_air_and_microphone(maker(LASTING_S, SAMPLE_RATE, rng), rng)


def _digits(speakers: Sequence[Sequence[Path]], rng: np.random.Generator) -> Samples:
    return _through_air_and_microphone(strung_digits(speakers, rng.uniform(*SPEECH_S), SAMPLE_RATE, rng), rng)


def _sentences(language: str, rng: np.random.Generator) -> Samples:
    return _through_air_and_microphone(read_aloud(language, rng.uniform(*SPEECH_S), SAMPLE_RATE, rng), rng)


def _through_air_and_microphone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the sound by a microphone, whose hiss fills pauses: digital silence would identify synthesis."""
    return received(travelled(samples, SAMPLE_RATE, rng), SAMPLE_RATE, rng)


def _in_near_silence(sound: Samples, sound_rms: float, rng: np.random.Generator) -> Samples:
    """Return the sound over near silence, or over sound similar to no alarm and of no label; by a microphone."""
    if rng.random() < 0.5:
        background = acoustics.coloured_noise(len(sound), rng, slope=rng.uniform(0, 2))
        snr_db = rng.uniform(25, 60)
    else:
        background = make_other(CLIP_S, SAMPLE_RATE, rng, str(rng.choice(BACKGROUND_KINDS)))
        background = travelled(background, SAMPLE_RATE, rng)
        snr_db = rng.uniform(5, 40)
    return received(mixed(sound, background, sound_rms, snr_db), SAMPLE_RATE, rng)


def _plain_tone(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """One sine, from before the clip until after it."""
    pitch_hz = np.exp(rng.uniform(np.log(80), np.log(0.45 * sample_rate)))
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    return np.asarray(np.sin(2 * np.pi * pitch_hz * time_s + rng.uniform(0, 2 * np.pi)), dtype=np.float32)


def _plain_noise(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Steady noise of one colour."""
    return acoustics.coloured_noise(round(duration_s * sample_rate), rng, slope=rng.uniform(-1, 2.5))


def _plain_clicks(duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Single samples at any time: a bad contact, a switch."""
    samples = np.zeros(round(duration_s * sample_rate), dtype=np.float32)
    places = rng.integers(0, len(samples), rng.integers(1, 30))
    samples[places] = rng.uniform(-1, 1, len(places))
    return samples


PLAIN_SOUNDS: dict[str, Maker] = {
    "plain_tone": _plain_tone,
    "plain_noise": _plain_noise,
    "plain_clicks": _plain_clicks,
}


if __name__ == "__main__":
    raise SystemExit(main())
