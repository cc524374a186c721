"""Recordings of spoken words, split into folds that share no speaker.

Owns: label, speaker and fold of each recording; the names of the classes besides the keywords.
Does not know: sound, models, synthetic voices (their entries are made by whoever makes them).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from tools.training.dataset import ALWAYS_TRAINED, N_FOLDS, Entry, read_csv, source_of
from tools.training.recordings import audio_files

UNKNOWN = "unknown"  # speech without a keyword
SILENCE = "silence"  # no speech
OTHERS = (UNKNOWN, SILENCE)
COLUMNS = ("file", "label", "speaker")
NOISE_FOLDER = "_background_noise_"  # of Google's Speech Commands
MIN_SPEAKERS = 2
ADVICE = "give label/speaker_take.wav files, label_speaker_take.wav files, or a CSV"


@dataclass(frozen=True, slots=True)
class _Spoken:
    path: Path
    label: str
    speaker: str


def read_keywords(data: Path, unknown: Sequence[Path], negatives: Sequence[Path]) -> tuple[list[Entry], dict[int, str]]:
    """Return the entries of a data set of words, and the speakers of each fold.

    data: a folder of `label/speaker_take.wav` files (Speech Commands), a folder of `label_speaker_take.wav` files (Free
        Spoken Digits), or a CSV with the columns file, label and speaker. Words with the label `unknown` are words that
        are no keyword; those of `silence` are sound without speech.
    unknown: folders of speech without a keyword. What lies in one folder is one speaker's.
    negatives: folders of sound without speech.

    Every speaker is a fold of its own where there are at most N_FOLDS, else the speakers are dealt to N_FOLDS evenly.

    Raises:
        EdgeaudioError: Nothing is there, or it does not say who speaks, or there are too few speakers or words.
    """
    spoken = read_csv(data, COLUMNS, _row) if data.suffix.lower() == ".csv" else _from_folder(data)
    words = [each for each in spoken if each.label != SILENCE]
    keywords = {each.label for each in words} - {UNKNOWN}
    speakers = _counts([each.speaker for each in words if each.label != UNKNOWN])
    if len(keywords) < 1:
        raise EdgeaudioError(f"{data}: has no keyword, only {UNKNOWN} and {SILENCE}; {ADVICE}")
    if len(speakers) < MIN_SPEAKERS:
        raise EdgeaudioError(f"{data}: has one speaker, {next(iter(speakers))!r}; a model is judged on another's voice")
    n_folds = min(N_FOLDS, len(speakers))
    fold_of = _dealt(speakers, n_folds)
    # whoever says only unknown words has a fold too
    others = _counts([each.speaker for each in words if each.speaker not in speakers])
    fold_of |= _dealt(others, n_folds)
    entries = [Entry(each.path, each.label, fold_of[each.speaker]) for each in words]
    entries += _in_folds([path for f in unknown for path in audio_files(f, ADVICE)], UNKNOWN, n_folds, by_folder=True)
    quiet = [each.path for each in spoken if each.label == SILENCE]
    quiet += [path for folder in negatives for path in audio_files(folder, ADVICE)]
    entries += _in_folds(quiet, None, n_folds, by_folder=False)
    names = {
        fold: ", ".join(speaker for speaker in speakers if fold_of[speaker] == fold) for fold in range(1, n_folds + 1)
    }
    return entries, names


def keywords_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the keywords, sorted."""
    return tuple(sorted({entry.label for entry in entries if entry.label is not None} - set(OTHERS)))


def synthetic(speaker: str, label: str, take: int) -> Entry:
    """Return the entry of a synthetic voice's take, which every fold is trained with and none is judged on."""
    return Entry(Path(speaker) / f"{label}_{take}", label, ALWAYS_TRAINED)


def is_synthetic(entry: Entry) -> bool:
    """True if the entry is a synthetic voice's."""
    return entry.fold == ALWAYS_TRAINED


def _row(file: Path, line: int, row: dict[str, str | None]) -> _Spoken:
    values = {column: row[column] or "" for column in COLUMNS}
    if empty := next((column for column in COLUMNS if not values[column]), None):
        raise EdgeaudioError(f"{file}:{line}: {empty} is empty; sound without speech has the label {SILENCE}")
    path = file.parent / values["file"]
    if not path.is_file():
        raise EdgeaudioError(f"{file}:{line}: {path}: no such recording")
    return _Spoken(path, values["label"], values["speaker"])


def _from_folder(folder: Path) -> list[_Spoken]:
    spoken = []
    for path in audio_files(folder, ADVICE):
        name = path.stem if path.parent != folder else path.stem.partition("_")[2]
        label = path.parent.name if path.parent != folder else path.stem.partition("_")[0]
        label = SILENCE if label == NOISE_FOLDER else label
        speaker = name.rpartition("_")[0] or name.rpartition("-")[0]
        if label != SILENCE and not (label and speaker):
            raise EdgeaudioError(f"{path}: its name does not say who speaks; {ADVICE}")
        spoken.append(_Spoken(path, label, speaker))
    return spoken


def _counts(names: Sequence[str]) -> dict[str, int]:
    """Return how often each name is there, the most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _dealt(sizes: dict[str, int], n_folds: int) -> dict[str, int]:
    """Return a fold for each name, the sizes of the folds as even as can be; `sizes` has the largest first."""
    filled = [0] * n_folds
    fold_of = {}
    for name, size in sizes.items():
        fold = filled.index(min(filled))
        filled[fold] += size
        fold_of[name] = fold + 1
    return fold_of


def _in_folds(paths: Sequence[Path], label: str | None, n_folds: int, *, by_folder: bool) -> list[Entry]:
    groups = [str(path.parent) if by_folder else str(path.parent / source_of(path)) for path in paths]
    fold_of = _dealt(_counts(groups), n_folds)
    return [Entry(path, label, fold_of[group]) for path, group in zip(paths, groups, strict=True)]
