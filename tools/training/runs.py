"""The folder of a training: its options, and the model directory of each fold.

Owns: options.json, fold-1, fold-2, ... Does not know: what is trained, or how.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import Scorer
from tools.training.command import first_mark

OPTIONS = "options.json"


def named(recordings: Path, negatives: Sequence[Path]) -> dict[str, str]:
    """Return a data set's paths for options.json, independent of the working directory."""
    paths = ", ".join(str(path.resolve()) for path in negatives)
    return {"recordings": str(recordings.resolve()), "negatives": str(paths or None)}


def claim(run: Path, asked: Mapping[str, str]) -> None:
    """Reserve a folder for one set of options: a training is only resumed with the same ones.

    Raises:
        EdgeaudioError: It was begun with others, or cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        begun = json.loads(first_mark(run / OPTIONS, json.dumps(dict(asked), indent=2) + "\n"))
    except OSError as error:
        raise EdgeaudioError(f"{run}: cannot be written: {error.strerror}; give another --out") from None
    if other := _first_difference(begun, asked):
        raise EdgeaudioError(
            f"{run}: begun with {other} = {begun.get(other)}, not {asked[other]}; remove it, or give another --out"
        )


def require_begun_with(run: Path, asked: Mapping[str, str]) -> None:
    """Check that a training was begun with these options, as far as its folder has them.

    Raises:
        EdgeaudioError: It was begun with others: what it is judged on may be what it was trained on.
    """
    if not (run / OPTIONS).is_file():
        return
    begun = json.loads((run / OPTIONS).read_text())
    if other := _first_difference(begun, asked):
        raise EdgeaudioError(f"{run}: trained with {other} = {begun.get(other)}, not {asked[other]}; give the same")


def fold_directories(run: Path) -> list[Path]:
    """Return the model directories of the folds.

    Raises:
        EdgeaudioError: There is none.
    """
    trained = sorted(run.glob("fold-*"))
    if not trained:
        raise EdgeaudioError(f"{run}: no model directories fold-1, fold-2, ... there; train with folds first")
    return trained


def load_folds(run: Path, folds: Collection[int], like: Manifest | None = None) -> dict[int, Scorer]:
    """Return the models of those folds.

    Raises:
        EdgeaudioError: One is missing, or labels and clips are not those of `like` (or of the first fold).
    """
    models: dict[int, Scorer] = {fold: load_model(run / f"fold-{fold}") for fold in folds}
    manifest = like or models[min(models)].manifest
    for fold, model in models.items():
        if _interface(model.manifest) != _interface(manifest):
            other = "the model" if like else run / f"fold-{min(models)}"
            raise EdgeaudioError(f"{run / f'fold-{fold}'}: its labels or clips are not those of {other}")
    return models


def _interface(manifest: Manifest) -> tuple[object, ...]:
    return manifest.labels, manifest.groups, manifest.clip


def _first_difference(begun: Mapping[str, str], asked: Mapping[str, str]) -> str | None:
    # an option that did not exist when the training was begun was not given
    return next((name for name in asked if begun.get(name, "None") != asked[name]), None)
