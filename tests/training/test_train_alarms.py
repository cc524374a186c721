"""What trains models/alarms: scenes with all alarms of a label, and answers left out where they are arguable."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from models.alarms.train.alarm_scenes import SAMPLE_RATE, SOUNDS, drawn_alarm, similar_sound
from tools.synth.alarm_sounds import LABELS


@pytest.mark.parametrize("label", LABELS)
def test_every_sound_of_a_label_is_drawn_and_named(label: str) -> None:
    rng = np.random.default_rng(3)
    drawn = [drawn_alarm(label, 2.0, SAMPLE_RATE, rng) for _ in range(12)]
    assert {alarm.label for alarm in drawn} == {label}
    # what has no cadence has no groups
    assert {bool(alarm.groups) for alarm in drawn} == ({False} if label == "siren" else {True, len(SOUNDS[label]) == 1})
    assert sum(share for _, share in SOUNDS[label]) == pytest.approx(1.0)


def test_what_resembles_an_alarm_is_as_long_as_asked() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        assert len(similar_sound(1.5, SAMPLE_RATE, rng)) == round(1.5 * SAMPLE_RATE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras with NumPy 2
def test_an_answer_that_does_not_count_is_not_learnt(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    from models.alarms.train import train_alarms  # noqa: PLC0415 - after that

    options = argparse.Namespace(seed=1, epochs=10, work=tmp_path)
    rng = np.random.default_rng(5)
    clips = rng.standard_normal((train_alarms.BATCH, 199, train_alarms.N_MFCC)).astype(np.float16)
    scaling = (np.zeros(train_alarms.N_MFCC, np.float32), np.ones(train_alarms.N_MFCC, np.float32))
    losses = []
    for name, counts in (("none", False), ("all", True)):
        options.work = tmp_path / name
        options.work.mkdir()
        targets = np.concatenate([np.ones((len(clips), 3), np.bool_), np.full((len(clips), 3), counts)], axis=1)
        train_alarms._trained(options.work / "model.keras", clips, scaling, targets, options)
        (progress,) = options.work.glob("training-*/progress.json")
        losses.append([loss for loss, _ in json.loads(progress.read_text())])
    assert losses[0] == [0.0] * 10
    assert losses[1][0] > losses[1][-1] > 0
