"""Models with an external front end."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tflite import content_of, loaded_model, manifest_of

from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, ClipSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import Model, build_model, load_model

FILE = Path("dir/m.tflite")
SAMPLES = np.random.default_rng(3).uniform(-1, 1, 360).astype(np.float32)


def manifest(frontend: str, n_samples: int, **section) -> Manifest:
    digest = hashlib.sha256(content_of(frontend)).hexdigest()
    section = {"frontend": "front.tflite", "frontend_sha256": digest, **section}
    clip = ClipSection(sample_rate=8000, n_samples=n_samples)
    return manifest_of("waveform", clip=clip, input=InputSection("waveform", **section))


def built(frontend: str, n_samples: int, **section) -> Model:
    content = content_of("features_open_batch")
    return build_model(manifest(frontend, n_samples, **section), FILE, content, content_of(frontend))


def means(samples):
    """Of each of the three \"mels\": its frames of 5 samples."""
    return samples.reshape(24, 3, 5).mean(axis=(0, 2))


def test_a_front_end_may_take_the_whole_clip():
    model = built("frontend_clip", 360, scale=0.5, offset=0.5)
    np.testing.assert_allclose(model.scores(SAMPLES), 0.5 * means(SAMPLES) + 0.5, atol=1e-5)


def test_a_front_end_may_take_a_frame_at_a_time():
    model = built("frontend_frame", 360, frontend_hop=15, frontend_scale=32768.0, scale=0.5, offset=0.5)
    np.testing.assert_allclose(model.scores(SAMPLES), 0.5 * means(SAMPLES) + 0.5, atol=1e-4)
    # frames that overlap: 15 samples each 5
    model = built("frontend_frame", 130, frontend_hop=5, frontend_scale=32768.0, scale=0.5, offset=0.5)
    fives = SAMPLES[:130].reshape(26, 5).mean(axis=1)
    expected = [np.mean(fives[i : i + 24]) * 0.5 + 0.5 for i in range(3)]
    np.testing.assert_allclose(model.scores(SAMPLES[:130]), expected, atol=1e-4)


def test_a_model_directory_may_hold_a_front_end(tmp_path):
    described = manifest("frontend_clip", 360)
    (tmp_path / MODEL_FILE_NAME).write_bytes(content_of("features_open_batch"))
    described = replace(described, sha256=hashlib.sha256(content_of("features_open_batch")).hexdigest())
    (tmp_path / FILE_NAME).write_text(manifest_toml(described))
    with pytest.raises(ModelError, match=r"front.tflite: cannot be read: No such file or directory$"):
        load_model(tmp_path)
    (tmp_path / "front.tflite").write_bytes(content_of("frontend_frame"))
    with pytest.raises(ModelError, match=r"front.tflite: its SHA-256 is [0-9a-f]{64}, and model.toml says "):
        load_model(tmp_path)
    (tmp_path / "front.tflite").write_bytes(content_of("frontend_clip"))
    assert loaded_model(tmp_path).scores(SAMPLES).shape == (3,)


def test_a_front_end_that_keeps_state_is_reset():
    """The features are the output of an LSTM, equal for equal clips."""
    lstm = content_of("others/fused_lstm")
    section = InputSection("waveform", frontend="front.tflite", frontend_sha256="0" * 64)
    whole = manifest_of("waveform", clip=ClipSection(16000, 49 * 40), input=section)
    softmax_of_three = content_of("features_row_of_three")
    model = build_model(whole, FILE, softmax_of_three, lstm)
    clips = np.random.default_rng(5).uniform(-1, 1, (2, 49 * 40)).astype(np.float32)
    first = model.scores(clips[0])
    model.scores(clips[1])
    np.testing.assert_array_equal(model.scores(clips[0]), first)


@pytest.mark.parametrize(
    ("frontend", "n_samples", "section", "problem"),
    [
        ("frontend_clip", 365, {}, (
            "dir/m.tflite: its input tensor is [-1, 24, 3, 1], and front.tflite makes 73 values of a clip of 365 "
            "samples: set clip.n_samples in model.toml so that they are as many")),
        ("frontend_frame", 360, {}, (
            "dir/front.tflite: takes 15 samples, and a clip has 360: set clip.n_samples in model.toml, or "
            "input.frontend_hop where it makes a frame at a time")),
        ("frontend_frame", 14, {"frontend_hop": 15},
         "dir/front.tflite: takes 15 samples at a time, and a clip has 14"),
        ("refused_int32_input", 120, {},
         "dir/front.tflite: its input tensor is int32; float32, int8, uint8 and int16 are possible"),
        ("refused_int64_output", 120, {},
         "dir/front.tflite: its output tensor is int64; float32, int8, uint8 and int16 are possible"),
    ],
)  # fmt: skip
def test_a_front_end_that_does_not_fit_is_refused(frontend, n_samples, section, problem):
    with pytest.raises(ModelError) as caught:
        built(frontend, n_samples, **section)
    assert str(caught.value) == problem
