"""Trials over kinds of background: every scene and negative scored once, and kept on disk.

Owns: which model hears which stretch, and that a kind of background is what is left out together.
Does not know: how stretches are made (`synth/kind_scenes.py`), thresholds, reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from edgeaudio.recognise.pipeline import Scorer
from tools.training.event_trials import Stretch, Trial, listen
from tools.training.score_cache import load, model_key, save


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A stretch over one kind of background.

    kind: Its number, from 1. fold: Whose model is to hear it; None: any, since none was trained on it.
    """

    kind: int
    stretch: Stretch
    fold: int | None


class Scenes(Protocol):
    """What is heard."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def key(self) -> str: ...

    def placed(self) -> Iterator[Placed]: ...


def hear(models: Mapping[int, Scorer], scenes: Scenes, cache: Path | None) -> list[Trial]:
    """Return the trials of all scenes; `Trial.fold` is the kind's number.

    A labelled recording is heard by the model of its own fold, which was not trained on it; a kind alone by the models
    in turn. `cache` is a folder for scores: what the same models heard of the same sound is read from it.
    """
    file = cache / f"{model_key(m.manifest for m in models.values())}-{scenes.key}.npz" if cache else None
    if file and (kept := load(file)) is not None:
        return kept
    turns = cycle(models.values())
    trials = []
    for placed in tqdm(scenes.placed(), desc="hearing", unit="stretch", leave=False):
        model = next(turns) if placed.fold is None else models[placed.fold]
        trials.append(listen(model, placed.stretch, placed.kind, scenes.sample_rate))
    if file:
        save(file, trials)
    return trials
