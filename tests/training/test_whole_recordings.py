"""A whole recording is given the label of the best mean score over its clips."""

from pathlib import Path

import numpy as np
import pytest
from support.tflite import LABELS, WAVEFORM, model_directory

from edgeaudio.recognise.model import load_model
from edgeaudio.types import Scores
from tools.training.dataset import Entry
from tools.training.event_trials import START, Trial
from tools.training.recordings import write_wav
from tools.training.whole_recordings import LEAST_S, SAMPLE_RATE, hear_whole, share_named


def trial(label, *rows):
    scores = tuple(
        Scores("x", "x", START, number, 1.0, -20.0, None if row is None else np.array(row, np.float32))
        for number, row in enumerate(rows)
    )
    return Trial(1, "recording", frozenset({label}), None, 1.0, scores)


def test_the_best_mean_of_the_clips_names_a_recording():
    reported = ("dog", "rain", "music")
    trials = [
        trial("dog", [0.9, 0.1, 0.0], [0.1, 0.8, 0.0], None),  # 0.5 and 0.45
        trial("rain", [0.9, 0.1, 0.0], [0.1, 0.8, 0.0]),
        trial("dog", [0.2, 0.1, 0.9]),  # music does not count
        trial("dog", None),
    ]
    assert share_named(trials, reported, ("rain", "dog")) == 0.5
    assert share_named(trials, reported, reported) == 0.25
    assert share_named([], reported, reported) == 0.0


@pytest.mark.parametrize("length_s", [0.2, 6.0])
def test_a_recording_is_heard_from_its_first_clip_to_its_last(tmp_path: Path, length_s):
    file = tmp_path / "dog.wav"
    write_wav(file, np.full(round(length_s * SAMPLE_RATE), 0.5, np.float32), SAMPLE_RATE)
    heard = hear_whole(load_model(model_directory(tmp_path, clip=WAVEFORM)), Entry(file, "dog", 3))
    assert (heard.fold, sorted(heard.present)) == (3, ["dog"])
    last = heard.scores[-1]
    assert last.offset_s + last.duration_s == pytest.approx(max(length_s, LEAST_S), abs=0.1)
    values = heard.scores[0].values
    assert values is not None
    assert len(values) == len(LABELS)
