"""Labelled recordings from a folder or a CSV, split into folds that share no source.

Owns: label and fold of each recording. Does not know: sound, models.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgeaudio.errors import EdgeaudioError
from tools.training.recordings import audio_files

N_FOLDS = 5
ALWAYS_TRAINED = 0
COLUMNS = ("file", "label", "fold")
ADVICE = "give a folder of label/recording files, or a CSV"
ANSWERS = {"yes": True, "no": False}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording.

    label: None for a negative: sound that carries none of the labels.
    fold: ALWAYS_TRAINED for a recording that is never left out, and never tested on.
    fixed: One clip long, and identified by its rhythm: it is neither sped up nor moved.
    judged: False for one that is left out with its fold, and never tested on.
    """

    path: Path
    label: str | None
    fold: int
    fixed: bool = False
    judged: bool = True


def read_dataset(data: Path, negatives: Sequence[Path], seed: int) -> list[Entry]:
    """Return the entries of `data` (a folder of `label/recording`, or a CSV) and of negative folders.

    A CSV has the columns file, label, fold and, if need be, fixed and judged (yes or no).

    Folds are the CSV's, or the ones that all file names begin with (`3-17367-A.ogg`); otherwise N_FOLDS are made,
    the same share of every label in each, recordings of one source together.

    Raises:
        EdgeaudioError: Nothing is there, or the CSV has a line that is wrong; names it.
    """
    entries = read_csv(data, COLUMNS, _row) if data.suffix.lower() == ".csv" else _from_folder(data, seed)
    for folder in negatives:
        paths = audio_files(folder, ADVICE)
        folds = folds_of(entries) or [ALWAYS_TRAINED]
        entries += [Entry(path, None, folds[index % len(folds)]) for index, path in enumerate(paths)]
    return entries


def labels_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return all labels, sorted."""
    return tuple(sorted({entry.label for entry in entries if entry.label is not None}))


def folds_of(entries: Sequence[Entry]) -> list[int]:
    """Return the folds that can be left out, in order."""
    return sorted({entry.fold for entry in entries} - {ALWAYS_TRAINED})


def source_of(path: Path) -> str:
    """Return the part of a name that recordings of one source share: all up to the last hyphen or underscore."""
    for separator in "-_":
        head, found, _ = path.stem.rpartition(separator)
        if found:
            return head
    return path.stem


def read_csv(file: Path, columns: Sequence[str], parse: Callable[[Path, int, dict[str, str | None]], T]) -> list[T]:
    """Return what `parse` makes of each line of a CSV: of the file, the line's number and its values by column.

    Raises EdgeaudioError, as `parse` may, for a file that is no such CSV or names no recording.
    """
    try:
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise EdgeaudioError(f"{file}: its first line must name the columns {', '.join(columns)}")
            rows = [parse(file, reader.line_num, row) for row in reader]
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise EdgeaudioError(f"{file}: is not CSV in UTF-8: {error}") from None
    if not rows:
        raise EdgeaudioError(f"{file}: names no recording")
    return rows


def _row(file: Path, line: int, row: dict[str, str | None]) -> Entry:
    path = file.parent / (row["file"] or "")
    if not path.is_file():
        raise EdgeaudioError(f"{file}:{line}: {path}: no such recording")
    fold = row["fold"] or ""
    if not fold.isdigit():
        raise EdgeaudioError(f"{file}:{line}: fold {fold!r} is not a whole number")
    fixed, judged = row.get("fixed") or "no", row.get("judged") or "yes"
    for column, answer in (("fixed", fixed), ("judged", judged)):
        if answer not in ANSWERS:
            raise EdgeaudioError(f"{file}:{line}: {column} is {answer!r}; give yes or no")
    return Entry(path, row["label"] or None, int(fold), ANSWERS[fixed], ANSWERS[judged])


def _from_folder(folder: Path, seed: int) -> list[Entry]:
    paths = audio_files(folder, ADVICE)
    named = [path.name.split("-")[0] for path in paths]
    if all(name.isdigit() and len(name) == 1 for name in named):
        return [Entry(path, path.parent.name, int(name)) for path, name in zip(paths, named, strict=True)]
    by_source: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in paths:
        by_source[path.parent.name, source_of(path)].append(path)
    by_label: dict[str, list[list[Path]]] = defaultdict(list)
    for (label, _), group in by_source.items():
        by_label[label].append(group)
    rng = np.random.default_rng(seed)
    entries = []
    for label, groups in by_label.items():
        sizes = [0] * N_FOLDS
        for index in rng.permutation(len(groups)):
            fold = sizes.index(min(sizes))
            sizes[fold] += len(groups[index])
            entries += [Entry(path, label, fold + 1) for path in groups[index]]
    return sorted(entries, key=lambda entry: entry.path)
