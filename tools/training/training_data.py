"""The recordings of a data set, split by fold into training and test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from tools.training.augmentation import Example
from tools.training.dataset import Entry
from tools.training.lessons import Lesson
from tools.training.recordings import Recording, without_padding

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Decoded recordings beside their entries, the labels, and the features of a model to be trained.

    lessons: What a teacher hears in each recording; None without a teacher.
    """

    entries: Sequence[Entry]
    recordings: Sequence[Recording]
    labels: tuple[str, ...]
    features: FeatureConfig
    lessons: Sequence[Lesson] | None = None

    @property
    def n_taught(self) -> int:
        """Answers that a teacher gives beside those of the labels; 0 without a teacher."""
        return self.lessons[0].scores.shape[1] if self.lessons else 0

    @cached_property
    def powers(self) -> list[Floats | None]:
        """Mel power of each recording, (n_frames, n_mels), at least one frame; None where there is no sound.

        Computed at the first use: where every fold has a result already, never.
        """
        config = replace(self.features, kind="log_mel", log="none", ref=1.0, top_db=0.0)
        powers: list[Floats | None] = []
        for entry, recording in zip(self.entries, self.recordings, strict=True):
            samples = recording.samples if entry.fixed else without_padding(recording.samples)
            padding = max(0, config.frame_length - len(samples))
            powers.append(features(np.pad(samples, (0, padding)), config) if samples.size else None)
        return powers

    def examples(self, without_fold: int | None) -> list[Example]:
        """Return the training examples: all recordings but those of one fold; None: all."""
        taught: Sequence[Lesson | None] = self.lessons or [None] * len(self.entries)
        return [
            Example(power, np.array([entry.label == label for label in self.labels], np.float32), entry.fixed, lesson)
            for entry, power, lesson in zip(self.entries, self.powers, taught, strict=True)
            if entry.fold != without_fold and power is not None
        ]

    def seen(self, without_fold: int) -> list[Recording]:
        """Return the recordings outside of a fold: those that its model was trained on."""
        return [r for e, r in zip(self.entries, self.recordings, strict=True) if e.fold != without_fold]

    def held_out(self, fold: int) -> list[Recording]:
        """Return the test data: the labelled recordings of a fold that are judged."""
        pairs = zip(self.entries, self.recordings, strict=True)
        return [replace(r, label=e.label) for e, r in pairs if e.fold == fold and e.label is not None and e.judged]
