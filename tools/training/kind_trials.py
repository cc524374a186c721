"""Trials over kinds of background: every scene and negative scored once, and kept on disk.

Owns: which model hears which stretch, and that a kind of background is what is left out together.
Does not know: how stretches are made (`synth/kind_scenes.py`), thresholds, reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """A stretch over one kind of background, and the fold whose model hears it; None: any, none was trained on it."""

    stretch: Stretch
    fold: int | None


class Scenes(Protocol):
    """What is heard, by the numbers of the kinds of background."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def key(self) -> str: ...

    @property
    def numbers(self) -> Sequence[int]: ...

    def placed(self, number: int) -> Iterator[Placed]: ...


def hear(models: Mapping[int, Scorer], scenes: Scenes, cache: Path | None) -> list[Trial]:
    """Return the trials of all scenes; `Trial.fold` is the kind's number.

    A labelled recording is heard by the model of its own fold, which was not trained on it; a kind alone by that of the
    kind's, or where it has none by the models in turn. `cache` is a folder for scores: a kind that the same models
    heard is read from it.
    """
    trials: list[Trial] = []
    folder = cache / f"{model_key(m.manifest for m in models.values())}-{scenes.key}" if cache else None
    for number in tqdm(scenes.numbers, desc="hearing", unit="kind", leave=False):
        kept = load(folder / f"{number}.npz") if folder else None
        if kept is None:
            kept = _heard(models, scenes, number)
            if folder:
                save(folder / f"{number}.npz", kept)
        trials += kept
    return trials


def _heard(models: Mapping[int, Scorer], scenes: Scenes, number: int) -> list[Trial]:
    turns = cycle(models.values())
    return [
        listen(next(turns) if placed.fold is None else models[placed.fold], placed.stretch, number, scenes.sample_rate)
        for placed in tqdm(scenes.placed(number), desc=f"kind {number}", unit="stretch", leave=False)
    ]
