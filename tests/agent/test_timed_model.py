"""Timing of models, and of the streams of stateful ones."""

import numpy as np
import pytest
from support.tflite import content_of, manifest_of

from edgeaudio.agent.timed_model import ModelFailedError, TimedModel
from edgeaudio.recognise.model import Model, build_model

ROWS = np.full((3, 40), 100, np.float32)


@pytest.fixture
def model(tmp_path) -> Model:
    return build_model(manifest_of("wake_word"), tmp_path, content_of("wake_word"))


def test_the_steps_of_all_sources_are_timed(model):
    timed = TimedModel(model)
    one, other = timed.stream(), timed.stream()
    first = one.scores(ROWS)
    assert one.scores(ROWS) > first
    np.testing.assert_array_equal(other.scores(ROWS), first)
    assert timed.count == 3
    assert timed.numbers("x").p50_ms


def test_a_stream_that_fails_concerns_the_model(model, monkeypatch):
    timed = TimedModel(model)
    stream = timed.stream()
    with pytest.raises(ModelFailedError, match=r"^the model test failed$"):
        stream.scores(ROWS[:1])
    monkeypatch.setattr(Model, "stream", lambda _: 1 / 0)
    with pytest.raises(ModelFailedError, match=r"^the model test failed$"):
        timed.stream()
