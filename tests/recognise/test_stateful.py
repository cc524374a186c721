"""Stateful models: a state for each source and epoch, scores from step to step, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.tflite import MICRO, content_of, manifest_of, model_directory

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.manifest import ClipSection, DetectorSection, InputSection, OutputSection
from edgeaudio.recognise.manifest_file import ManifestError, check_manifest, manifest_toml, read_manifest
from edgeaudio.recognise.micro_frontend import MicroFrontend
from edgeaudio.recognise.model import build_model, load_model
from edgeaudio.recognise.pipeline import ModelBinding, Result, SourcePipeline
from edgeaudio.types import Block, Event, Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
FILE = Path("m.tflite")
# scores are half of the thirds of 120 samples, and half of the scores before
SMOOTHED = manifest_of(
    "refused_written_variable",
    clip=ClipSection(sample_rate=1200, n_samples=360),
    input=InputSection("waveform", stateful=True, step=120),
)
# the score is half of the mean of three frames, and half of the one before, of 32
WAKE_WORD = manifest_of("wake_word", detector=DetectorSection(on=0.4, off=0.2, mean_of=5))
MELS = FeatureConfig("log_mel", 16000, n_fft=512, hop_length=160, n_mels=40)


def smoothed_model(**changes):
    return build_model(replace(SMOOTHED, **changes), FILE, content_of("refused_written_variable"))


def wake_word_model(**changes):
    return build_model(replace(WAKE_WORD, **changes), FILE, content_of("wake_word"))


def smoothed(samples):
    """Return the scores of the first model, step by step."""
    last, found = np.zeros(3, np.float32), []
    for step in samples[: len(samples) // 120 * 120].reshape(-1, 3, 40):
        last = (last + step.mean(axis=1)) / 2
        found.append(last)
    return np.array(found)


def levels(samples):
    """Return the scores of the second model, step by step."""
    rows = MicroFrontend(MICRO).rows(samples) * np.float32(0.0390625)
    last: np.floating[Any] | float = 0.0
    found = []
    for step in rows[: len(rows) // 3 * 3].reshape(-1, 120):
        last = (last + step.mean()) / 2
        found.append(min(1.0, last / 32))
    return np.array(found)


def positive(n, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, n).astype(np.float32)


def speech(n, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.1, n) * np.exp(rng.normal(-1, 1, n // 800 + 1)).repeat(800)[:n]).astype(np.float32)


def pipeline(model, gate_dbfs=-300.0):
    return SourcePipeline("s", [ModelBinding(model)], namespace=UUID(int=0), gate_dbfs=gate_dbfs)


def block(samples, rate, *, epoch=0, offset=0):
    return Block("s", epoch, offset, START + timedelta(seconds=offset / rate), rate, samples)


def scores_of(results):
    return np.array(
        [result.values[0] for result in results if isinstance(result, Scores) and result.values is not None]
    )


def test_a_stream_goes_on_from_step_to_step():
    stream, samples = smoothed_model().stream(), positive(600)
    found = np.array([stream.scores(samples[at : at + 120]) for at in range(0, 600, 120)])
    np.testing.assert_allclose(found, smoothed(samples), atol=1e-6)


def test_a_stream_takes_several_steps_at_once():
    samples = positive(600)
    np.testing.assert_allclose(smoothed_model().stream().scores(samples), smoothed(samples)[-1], atol=1e-6)


def test_two_streams_of_a_model_never_share_a_state():
    model = smoothed_model()
    one, other = model.stream(), model.stream()
    mine, yours = positive(600), positive(600, seed=1)
    for at in range(0, 600, 120):
        first, second = one.scores(mine[at : at + 120]), other.scores(yours[at : at + 120])
        np.testing.assert_allclose(first, smoothed(mine)[at // 120], atol=1e-6)
        np.testing.assert_allclose(second, smoothed(yours)[at // 120], atol=1e-6)


def test_a_clip_that_is_scored_alone_begins_anew():
    model = smoothed_model()
    for seed in range(3):
        clip = positive(360, seed)
        np.testing.assert_allclose(model.scores(clip), smoothed(clip)[-1], atol=1e-6)


def test_resettable_variables_can_be_stateful_too():
    manifest = manifest_of(
        "others/fused_lstm",
        clip=ClipSection(16000, 49 * 320 + 512),
        input=InputSection("log_mel", ("batch", "time", "feature"), stateful=True, step=49),
        features=FeatureConfig("log_mel", 16000, n_fft=512, win_length=512, hop_length=320, n_mels=40),
    )
    model = build_model(manifest, FILE, content_of("others/fused_lstm"))
    values = np.random.default_rng(0).uniform(-1, 1, (49, 40)).astype(np.float32)
    stream = model.stream()
    first = stream.scores(values)
    assert not np.array_equal(stream.scores(values), first)
    np.testing.assert_array_equal(model.stream().scores(values), first)


def test_the_scores_of_a_source_are_those_of_its_whole_sound():
    samples = speech(32_000)
    results = list(pipeline(wake_word_model()).feed(block(samples, 16000)))
    np.testing.assert_allclose(scores_of(results), levels(samples), atol=1e-5)


@settings(max_examples=examples(15))
@given(cuts=st.lists(st.integers(0, 12_000), max_size=5))
def test_splitting_the_sound_changes_no_bit(cuts):
    samples, model = speech(12_000), wake_word_model()
    whole = list(pipeline(model).feed(block(samples, 16000)))
    split, offset, found = pipeline(model), 0, []
    for piece in np.split(samples, sorted(cuts)):
        found += split.feed(block(piece, 16000, offset=offset))
        offset += len(piece)
    assert scores_of(found).tobytes() == scores_of(whole).tobytes()


def test_two_sources_interleaved_hear_their_own_sound_alone():
    model = wake_word_model()
    sounds = {name: speech(16_000, seed) for seed, name in enumerate(("one", "other"))}
    pipelines, found = (
        {name: pipeline(model) for name in sounds},
        dict[str, list[Result]]((name, []) for name in sounds),
    )
    for offset in range(0, 16_000, 1000):
        for name, samples in sounds.items():
            found[name] += pipelines[name].feed(block(samples[offset : offset + 1000], 16000, offset=offset))
    for name, samples in sounds.items():
        np.testing.assert_allclose(scores_of(found[name]), levels(samples), atol=1e-5)


def test_models_with_the_same_steps_share_their_features(monkeypatch):
    """Several wake words at one source: each has its own state, and the front end runs once."""
    real, computed = MicroFrontend.rows, []

    def rows(self, segment):
        computed.append(len(segment))
        return real(self, segment)

    monkeypatch.setattr(MicroFrontend, "rows", rows)
    samples = speech(24_000)
    models = [wake_word_model(name=name) for name in ("one", "other")]
    longer = wake_word_model(name="longer", clip=ClipSection(sample_rate=16000, n_samples=16_000))
    bindings = [ModelBinding(model) for model in (*models, longer)]
    several = SourcePipeline("s", bindings, namespace=UUID(int=0), gate_dbfs=-300.0)
    found = [
        result
        for at in range(0, 24_000, 8000)
        for result in several.feed(block(samples[at : at + 8000], 16000, offset=at))
    ]
    assert len(computed) == 2 * 3  # twice for each piece: another length of clip has steps of its own
    for name in ("one", "other", "longer"):
        own = [result for result in found if isinstance(result, Scores) and result.model == name]
        np.testing.assert_allclose(scores_of(own), levels(samples), atol=1e-5)


def test_after_a_hole_model_and_front_end_begin_anew():
    before, after, source = speech(9000), speech(9000, 1), pipeline(wake_word_model())
    first = list(source.feed(block(before, 16000)))
    second = list(source.feed(block(after, 16000, epoch=1, offset=500)))
    np.testing.assert_allclose(scores_of(first), levels(before), atol=1e-5)
    np.testing.assert_allclose(scores_of(second), levels(after), atol=1e-5)


def test_quiet_sound_is_heard_and_its_scores_do_not_count():
    samples = speech(32_000)
    samples[8000:24_000] *= np.float32(1e-5)
    results = [r for r in pipeline(wake_word_model(), -60.0).feed(block(samples, 16000)) if isinstance(r, Scores)]
    withheld = [result.values is None for result in results]
    assert any(withheld)
    assert not any(withheld[:10])
    # the state is that of the whole sound
    assert scores_of(results[-1:])[0] == pytest.approx(levels(samples)[-1], abs=1e-5)


def test_times_are_those_of_the_sound():
    results = [r for r in pipeline(wake_word_model()).feed(block(speech(48_000), 48_000)) if isinstance(r, Scores)]
    ends_s = [result.offset_s + result.duration_s for result in results]
    np.testing.assert_allclose(ends_s, 0.05 + 0.03 * np.arange(len(results)), atol=1e-6)
    assert max(result.duration_s for result in results) <= 0.5
    assert {result.info.longest_step_s for result in results if result.info} == {0.03}


def test_a_recording_shorter_than_a_step_has_one_score():
    source = pipeline(wake_word_model())
    assert not scores_of(source.feed(block(speech(500), 16000))).size
    assert len(scores_of(source.flush())) == 1


def test_the_period_of_the_settings_does_not_count():
    assert ModelBinding(wake_word_model(), period_s=0.5).effective_period_s == pytest.approx(0.03)


def test_an_event_is_the_mean_of_several_scores_over_the_cutoff():
    loud = np.random.default_rng(0).normal(0, 0.3, 16_000).astype(np.float32)
    samples = np.concatenate([loud * np.float32(1e-4), loud, np.zeros(16_000, np.float32)])
    results = list(pipeline(wake_word_model()).feed(block(samples, 16000)))
    onset = next(result for result in results if isinstance(result, Event))
    scores = levels(samples)
    means = np.convolve(np.concatenate([np.zeros(4), scores]), np.full(5, 0.2), "valid")
    assert onset.score == pytest.approx(means[np.flatnonzero(means >= 0.4)[0]], abs=1e-5)


def test_the_manifest_is_written_and_read(tmp_path):
    directory = model_directory(tmp_path, "wake_word", detector=WAKE_WORD.detector)
    manifest = read_manifest(directory / "model.toml")
    assert manifest == WAKE_WORD
    assert manifest_toml(manifest) == (directory / "model.toml").read_text()
    assert load_model(directory).manifest.values_shape == (48, 40)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"input": {"stateful": False}}, "input.step: goes with input.stateful = true"),
        (
            {"input": {"step": 0}},
            "input.step: must be above 0: frames (or samples of a waveform) that one run is given",
        ),
        ({"input": {"step": 6_100}}, "input.step: 6100 is 61000 ms, which is not from 10 to 60000"),
        (
            {"clip": {"period_ms": 30}},
            "clip.period_ms: does not go with input.stateful: input.step decides how often the model runs",
        ),
        ({"clip": {"n_samples": 799}}, "clip.n_samples: 799 is less than one step is computed of (800)"),
        (
            {"output": OutputSection(kind="reconstruction_error", half_error=1.0)},
            'output.kind: must be "scores" with input.stateful',
        ),
        (
            {"features": replace(MELS, center=True), "input": {"kind": "log_mel"}},
            'features: center, pad_end, ref = "max", top_db, cmvn_window and standardize do not go with input.stateful',
        ),
    ],
)
def test_what_a_stateful_manifest_refuses(changes, problem):
    sections = {
        key: replace(getattr(WAKE_WORD, key), **value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    with pytest.raises(ManifestError) as caught:
        check_manifest(replace(WAKE_WORD, **sections), FILE)
    assert str(caught.value) == f"m.tflite: {problem}"


def test_a_front_end_file_needs_whole_clips():
    section = replace(SMOOTHED.input, frontend="f.tflite", frontend_sha256="0" * 64)
    with pytest.raises(ManifestError, match=r"^m.tflite: input.frontend: does not go with input.stateful$"):
        check_manifest(replace(SMOOTHED, input=section), FILE)


def test_a_model_without_a_memory_is_not_stateful():
    manifest = manifest_of("waveform", input=SMOOTHED.input, clip=SMOOTHED.clip)
    with pytest.raises(ModelError) as caught:
        build_model(manifest, FILE, content_of("waveform"))
    assert str(caught.value) == (
        "m.tflite: keeps nothing from one run to the next, and model.toml says input.stateful = true; states that go "
        "through inputs and outputs are not supported"
    )


def test_a_step_must_fit_the_tensor():
    with pytest.raises(ModelError) as caught:
        wake_word_model(input=replace(WAKE_WORD.input, step=2))
    assert str(caught.value) == (
        "m.tflite: its input tensor is [1, 3, 40], and model.toml makes [1, 2, 40] (batch, time, feature; "
        "micro_frontend, steps of 2)"
    )
