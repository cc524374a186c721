"""Recurrent models: clips are independent, and a model whose state cannot be reset is refused."""

from pathlib import Path

import numpy as np
import pytest
from support.tflite import content_of, manifest_of

from edgeaudio.recognise import interpreter as interpreter_module
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.interpreter import RUNTIME, ModelError
from edgeaudio.recognise.manifest import ClipSection, InputSection, Manifest
from edgeaudio.recognise.model import Model, build_model
from edgeaudio.recognise.recurrent_state import State, state_of

FILE = Path("m.tflite")
NOISE = np.random.default_rng(5).uniform(-1, 1, (2, 49, 40)).astype(np.float32)


def recurrent_manifest() -> Manifest:
    return manifest_of(
        "others/fused_lstm",
        clip=ClipSection(16000, 16000),
        input=InputSection("log_mel", ("batch", "time", "feature")),
        features=FeatureConfig("log_mel", 16000, n_fft=512, win_length=512, hop_length=320, n_mels=40),
    )


def recurrent(manifest: Manifest | None = None) -> Model:
    return build_model(manifest or recurrent_manifest(), FILE, content_of("others/fused_lstm"))


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("waveform", State.NONE),
        ("recurrent_loop", State.NONE),
        ("others/fused_lstm", State.VARIABLES),
        ("others/lstm_int8", State.VARIABLES),
        ("refused_written_variable", State.RESOURCES),
        ("refused_unset_variable", State.UNSET),
    ],
)
def test_the_state_of_a_model_is_read_from_its_graph(name, state):
    assert state_of(content_of(name)) is state


def test_a_clip_scores_the_same_whatever_came_before():
    model = recurrent()
    first = model.scores(NOISE[0])
    for clip in (NOISE[0], NOISE[1], NOISE[1] * 9):
        model.scores(clip)
        np.testing.assert_array_equal(model.scores(NOISE[0]), first)


def test_quantised_variables_are_reset():
    features = FeatureConfig("log_mel", 16000, n_fft=512, hop_length=160, n_mels=8)
    section = InputSection("log_mel", ("batch", "time", "feature"))
    clip = ClipSection(16000, 672)
    manifest = manifest_of("others/lstm_int8", clip=clip, input=section, features=features)
    model = build_model(manifest, FILE, content_of("others/lstm_int8"))
    values = np.random.default_rng(1).normal(size=(2, 8)).astype(np.float32)
    first = model.scores(values)
    np.testing.assert_array_equal(model.scores(values), first)
    # without the reset, the clip before changes the scores
    model._has_variables = False
    assert not np.array_equal(model.scores(values), first)


def test_a_clip_scores_the_same_through_a_shared_interpreter():
    model = recurrent()
    first = model.scores(NOISE[0])
    model.scores(NOISE[1])  # of another source
    np.testing.assert_array_equal(model.scores(NOISE[0]), first)


def test_only_models_with_variables_are_reset():
    """A model without variables is not reset."""
    model = build_model(manifest_of("waveform"), FILE, content_of("waveform"))
    model._interpreter = Resetless(model._interpreter)
    assert model.scores(np.zeros(120, np.float32)).shape == (3,)


def test_a_loop_in_the_graph_is_no_state():
    manifest = manifest_of(
        "features_time_major", sha256="0" * 64, input=InputSection("log_mel", ("batch", "time", "feature"))
    )
    model = build_model(manifest, FILE, content_of("recurrent_loop"))
    ramp = np.linspace(0, 1, 72, dtype=np.float32).reshape(24, 3)
    for _ in range(3):
        np.testing.assert_allclose(model.scores(ramp), ramp.mean(axis=0), atol=1e-6)


def test_variables_that_cannot_be_reset_are_refused():
    with pytest.raises(ModelError) as caught:
        build_model(manifest_of("waveform"), FILE, content_of("refused_written_variable"))
    assert str(caught.value) == (
        "m.tflite: writes to variables that keep their values from clip to clip and cannot be reset (operator "
        "ASSIGN_VARIABLE), so that scores depend on what came before; if it is meant to be given each frame once, say "
        "input.stateful = true and input.step in model.toml; else export it without them"
    )


def test_variables_that_nothing_sets_are_refused():
    with pytest.raises(ModelError) as caught:
        build_model(manifest_of("waveform"), FILE, content_of("refused_unset_variable"))
    assert str(caught.value) == (
        "m.tflite: reads variables that nothing sets (operator READ_VARIABLE): convert it from a SavedModel, so that "
        "its weights become constants"
    )


class Resetless:
    """An interpreter whose reset does nothing, or fails."""

    def __init__(self, interpreter, error: Exception | None = None) -> None:
        self._interpreter = interpreter
        self._error = error

    def __getattr__(self, name):
        assert name != "reset_all_variables"
        return getattr(self._interpreter, name)


class Forgetless(Resetless):
    def reset_all_variables(self) -> None:
        if self._error:
            raise self._error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (None, f"gives a clip other scores after another clip, though {RUNTIME} has reset its variables"),
        (RuntimeError("no\nway"), "its variables cannot be reset: no way"),
    ],
)
def test_a_reset_is_verified_when_a_model_is_loaded(monkeypatch, error, problem):
    real = vars(interpreter_module)["Interpreter"]
    monkeypatch.setattr(interpreter_module, "Interpreter", lambda **options: Forgetless(real(**options), error))
    with pytest.raises(ModelError) as caught:
        recurrent()
    assert str(caught.value) == f"m.tflite: {problem}"


def test_a_damaged_graph_is_refused(monkeypatch):
    monkeypatch.setattr("edgeaudio.recognise.flatbuffer.MAX_TABLES", 3)
    with pytest.raises(ModelError, match=r"^m.tflite: is damaged: there are more than 3 tables$"):
        build_model(manifest_of("waveform"), FILE, content_of("waveform"))
