"""Scores that a model gave, on disk: what was heard once is judged again in seconds, alone or with another model.

Owns: the file of a model's trials, and the key that says which model and which sound made it.
Does not know: how sound is made, thresholds, events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.recognise.manifest import Manifest
from edgeaudio.types import Scores
from tools.training.event_trials import START, Target, Trial

VERSION = 1  # of what is heard: to be raised when the same seed makes other sound, or clips are cut otherwise


def sound_key(paths: Iterable[Path], *settings: object) -> str:
    """Return a key of what is heard: the files by name, size and time of change, and what is made of them."""
    found = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return _digest(VERSION, found, *settings)


def model_key(manifests: Iterable[Manifest]) -> str:
    """Return a key of models and of the way from sound to scores; thresholds and the detector are not part of it."""
    return _digest([(m.sha256, m.reported, m.clip, m.input, m.output, m.features) for m in manifests])


def save(file: Path, trials: Sequence[Trial]) -> None:
    """Write trials. Levels within clips, by which events are dated, are left out."""
    scores = [score for trial in trials for score in trial.scores]
    width = max((len(score.values) for score in scores if score.values is not None), default=0)
    nothing = np.full(width, np.nan, np.float32)
    about = [
        {
            "fold": trial.fold, "kind": trial.kind, "present": sorted(trial.present), "heard_s": trial.heard_s,
            "budgeted": trial.budgeted, "background": trial.background, "count": len(trial.scores),
            "target": None if (t := trial.target) is None else [t.label, t.snr_db, t.onset_s, t.end_s],
        }
        for trial in trials
    ]  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part.npz")
    np.savez_compressed(
        unfinished,
        about=np.array(json.dumps(about)),
        values=np.array([nothing if score.values is None else score.values for score in scores], np.float32),
        times=np.array([(score.offset_s, score.duration_s) for score in scores], np.float64).reshape(-1, 2),
    )
    unfinished.rename(file)


def load(file: Path) -> list[Trial] | None:
    """Return the trials of a file; None if there is none."""
    if not file.is_file():
        return None
    with np.load(file) as kept:
        about: list[dict[str, Any]] = json.loads(str(kept["about"]))
        values, times = kept["values"], kept["times"]
    trials, first = [], 0
    for each in about:
        last = first + each["count"]
        scores = [_score(row, *time) for row, time in zip(values[first:last], times[first:last], strict=True)]
        target = Target(*each["target"]) if each["target"] else None
        trials.append(
            Trial(
                each["fold"], each["kind"], frozenset(each["present"]), target, each["heard_s"], scores,
                each["budgeted"], each["background"],
            )
        )  # fmt: skip
        first = last
    return trials


def _score(row: np.ndarray[Any, np.dtype[np.float32]], offset_s: float, duration_s: float) -> Scores:
    values = None if np.isnan(row).any() else row
    at = START + timedelta(seconds=float(offset_s))
    return Scores("trial", "cached", at, float(offset_s), float(duration_s), None, values)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
