"""The collections of recordings for the bundled models, split into training and evaluation.

Owns: which recordings one side may use; no recording is on both. Does not know: what is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tools.training.recordings import Recording, read_folder

Samples = NDArray[np.float32]

# Held back from training: the last fold, a speaker, and every other file of the collections without either.
HELD_OUT_FOLD = 4
HELD_OUT_SPEAKER = "george"
UNLABELLED = ("drone", "hydrophone")
HALF = {"train": slice(0, None, 2), "held_out": slice(1, None, 2)}  # of each of UNLABELLED, its files in order


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Recordings of one side (training or evaluation), grouped by collection."""

    groups: tuple[tuple[Recording, ...], ...]

    def pick(self, duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return a stretch of `duration_s` of one recording; short ones are repeated with pauses between."""
        group = self.groups[rng.choice(len(self.groups), p=self._shares())]
        n = round(duration_s * sample_rate)
        pieces: list[Samples] = []
        length = 0
        recording = group[rng.integers(len(group))].samples
        if len(recording) > n:
            start = rng.integers(0, len(recording) - n + 1)
            return recording[start : start + n].copy()
        lead = rng.integers(0, n - len(recording) + 1)
        pieces.append(np.zeros(lead, dtype=np.float32))
        length += int(lead)
        while length < n:
            pause = np.zeros(int(rng.exponential(0.4) * sample_rate), dtype=np.float32)
            pieces += [recording, pause]
            length += len(recording) + len(pause)
            recording = group[rng.integers(len(group))].samples
        return np.concatenate(pieces)[:n]

    def _shares(self) -> NDArray[np.float64]:
        # the square root: the largest collection leads without outweighing the others
        weights = np.sqrt([sum(len(recording.samples) for recording in group) for group in self.groups])
        return np.asarray(weights / weights.sum())


def read_corpus(data: Path, sample_rate: int, side: Literal["train", "held_out"]) -> Corpus:
    """Return the recordings under `data` that one side may use; no recording is on both sides.

    Raises:
        EdgeaudioError: A collection is missing.
    """
    esc10 = [r for r in read_folder(data / "esc10", sample_rate) if (r.fold == HELD_OUT_FOLD) == (side == "held_out")]
    digits = [
        r
        for r in read_folder(data / "speech_digits", sample_rate)
        if (r.path.stem.split("_")[1] == HELD_OUT_SPEAKER) == (side == "held_out")
    ]
    others = [tuple(read_folder(data / name, sample_rate)[HALF[side]]) for name in UNLABELLED]
    return Corpus((tuple(esc10), tuple(digits), *others))
