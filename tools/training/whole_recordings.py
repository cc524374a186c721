"""The label that a whole recording is given: the one of the best mean score over its clips.

Owns: the run of a recording through the agent's own pipeline, and the mean. Does not know: folds, scenes, thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeaudio.recognise.pipeline import Scorer
from tools.training.dataset import Entry
from tools.training.event_trials import Stretch, Trial, listen
from tools.training.recordings import read_audio

SAMPLE_RATE = 32_000  # of what is heard, whatever the model's: its pipeline resamples
LEAST_S = 5.0  # shorter ones are followed by silence: a clip must fit


def hear_whole(model: Scorer, entry: Entry) -> Trial:
    """Return a model's scores of a recording. Raises EdgeaudioError if it cannot be decoded."""
    samples = read_audio(entry.path, SAMPLE_RATE)
    samples = np.pad(samples, (0, max(0, round(LEAST_S * SAMPLE_RATE) - len(samples))))
    present = frozenset({entry.label} if entry.label else ())
    return listen(model, Stretch("recording", samples, present), entry.fold, SAMPLE_RATE)


def share_named(trials: Sequence[Trial], reported: Sequence[str], among: Sequence[str]) -> float:
    """Return the share of recordings whose label has the best mean score of `among`.

    reported: the labels of the scores. A recording without any score is not named.
    """
    columns = [reported.index(label) for label in among]
    right = 0
    for trial in trials:
        rows = [score.values for score in trial.scores if score.values is not None]
        if rows:
            best = int(np.mean(rows, axis=0)[columns].argmax())
            right += among[best] in trial.present
    return right / len(trials) if trials else 0.0
