"""Timing of models, and of the streams of stateful ones."""

from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import numpy as np
import pytest
from support.fused import fused_directory, member
from support.tflite import WAVEFORM, content_of, manifest_of

from edgeaudio.agent.timed_model import ModelFailedError, TimedFusedModel, TimedModel, _TimedFusedStream, timed_model
from edgeaudio.recognise.model import Model, build_model, load_model
from edgeaudio.recognise.pipeline import FusedScorer, ModelBinding, SourcePipeline
from edgeaudio.types import Block, Scores

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


def test_an_inference_of_a_fused_model_is_a_combination_with_its_members(tmp_path, monkeypatch):
    sections = [member(tmp_path, "one"), member(tmp_path, "two", "waveform_int8")]
    timed = timed_model(load_model(fused_directory(tmp_path, sections, clip=WAVEFORM)))
    assert isinstance(timed, TimedFusedModel)
    assert isinstance(timed, FusedScorer)
    block = Block("porch", 0, 0, datetime(2026, 1, 1, tzinfo=UTC), 1200, np.full(600, 0.5, np.float32))
    pipeline = SourcePipeline("porch", [ModelBinding(timed)], namespace=UUID(int=0))
    scores = [each for each in pipeline.feed(block) if isinstance(each, Scores)]
    assert timed.count == len(scores) == 9
    numbers = timed.numbers("x")
    assert numbers.sha256 == timed.manifest.sha256
    assert numbers.p50_ms
    durations_s = iter([8.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(timed, "timed", lambda work: (work(), next(durations_s)))
    stream = _TimedFusedStream(timed, timed._fused.fused_stream())
    stream.hear(0, None, (Fraction(0), Fraction(1)), counts=False)
    stream.forget((Fraction(0), Fraction(0)))  # under the gate
    for number in (0, 1):
        stream.hear(number, None, (Fraction(0), Fraction(1)), counts=True)
    stream.combined((Fraction(0), Fraction(0)))
    assert timed._durations_s[-1] == 7.0
    monkeypatch.undo()
    with pytest.raises(ModelFailedError, match=r"^the model fused failed$"):
        stream.hear(2, np.zeros(120, np.float32), (Fraction(0), Fraction(1)), counts=True)
