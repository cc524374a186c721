"""Models of every kind, with the installed TFLite runtime, and every refusal."""

import importlib.util
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tflite import LABELS, MELS, SPECTRUM, WAVEFORM, content_of, loaded_model, manifest_of, model_directory

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise import interpreter as interpreter_module
from edgeaudio.recognise import model as model_module
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.features import features
from edgeaudio.recognise.interpreter import RUNTIME, ModelError, open_interpreter
from edgeaudio.recognise.manifest import InputSection, OutputSection
from edgeaudio.recognise.manifest_file import ManifestError
from edgeaudio.recognise.model import build_model, load_model

THIRDS = (0.1, 0.9, 0.5)


def segments(*values):
    """Return a clip of the test models: one value per third."""
    return np.repeat(np.array(values, dtype=np.float32), 40)


CLIP = segments(*THIRDS)


def loaded(tmp_path, name, **changes):
    return load_model(model_directory(tmp_path, name, **changes))


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("waveform", 1e-6),
        ("waveform_int8", 0.008),
        ("waveform_uint8", 0.008),
        ("waveform_int16", 1e-4),
        ("waveform_two_outputs", 1e-6),
        ("waveform_two_inputs", 1e-6),
    ],
)
def test_waveform_models_score_each_third(tmp_path, name, tolerance):
    scores = loaded(tmp_path, name).scores(CLIP)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, THIRDS, rtol=0, atol=tolerance)


def test_inputs_that_are_not_the_clip_are_zero(tmp_path):
    model = loaded(tmp_path, "waveform_two_inputs")
    for _ in range(3):
        np.testing.assert_allclose(model.scores(CLIP), THIRDS, atol=1e-6)


def test_integers_without_a_scale_get_the_values_as_they_are(tmp_path):
    section = InputSection("waveform", ("time",), scale=32768.0)
    model = loaded(tmp_path, "waveform_raw_int16", input=section)
    np.testing.assert_allclose(model.scores(CLIP), THIRDS, atol=1e-4)
    # values beyond full scale are clipped
    np.testing.assert_allclose(model.scores(CLIP * 100), [1, 1, 1], atol=1e-4)


@pytest.mark.parametrize("name", ["waveform_open_length", "waveform_lone_one"])
def test_models_of_any_length_are_made_the_clip_s_length(tmp_path, name):
    clip = replace(WAVEFORM, n_samples=240)
    model = loaded(tmp_path, name, clip=clip, input=InputSection("waveform", ("time",)))
    two_patches = np.concatenate([CLIP, 1 - CLIP])
    np.testing.assert_allclose(model.scores(two_patches), [0.5, 0.5, 0.5], atol=1e-6)


def test_patches_can_score_by_their_highest(tmp_path):
    clip = replace(WAVEFORM, n_samples=240)
    section, output = InputSection("waveform", ("time",)), OutputSection(patches="max")
    model = loaded(tmp_path, "waveform_open_length", clip=clip, input=section, output=output)
    two_patches = np.concatenate([CLIP, 1 - CLIP])
    np.testing.assert_allclose(model.scores(two_patches), [0.9, 0.9, 0.5], atol=1e-6)


def test_one_of_several_outputs_can_be_chosen(tmp_path):
    model = loaded(tmp_path, "waveform_two_outputs", labels=("a", "b"), output=OutputSection(index=1))
    np.testing.assert_allclose(model.scores(CLIP), [0.9, 0.1], atol=1e-6)


def test_softmax_turns_logits_into_scores(tmp_path):
    model = loaded(tmp_path, "waveform_logits", output=OutputSection(activation="softmax"))
    expected = np.exp(8 * np.array(THIRDS))
    np.testing.assert_allclose(model.scores(CLIP), expected / expected.sum(), atol=1e-6)


def test_sigmoid_turns_logits_into_scores(tmp_path):
    model = loaded(tmp_path, "waveform_logits", output=OutputSection(activation="sigmoid"))
    np.testing.assert_allclose(model.scores(CLIP), 1 / (1 + np.exp(-8 * np.array(THIRDS))), atol=1e-6)


def test_logits_of_any_size_do_not_overflow(tmp_path):
    model = loaded(tmp_path, "waveform_logits", output=OutputSection(activation="sigmoid"))
    np.testing.assert_array_equal(model.scores(segments(1e30, -1e30, 0)), [1, 0, 0.5])
    model = build_model(
        replace(model.manifest, output=OutputSection(activation="softmax")), Path("x"), content_of("waveform_logits")
    )
    np.testing.assert_array_equal(model.scores(segments(1e30, -1e30, 0)), [1, 0, 0])


def test_scores_stay_between_0_and_1(tmp_path):
    model = loaded(tmp_path, "waveform")
    np.testing.assert_array_equal(model.scores(segments(-3, 7, 0.25)), [0, 1, 0.25])


def test_nan_becomes_a_score_of_0(tmp_path):
    model = loaded(tmp_path, "waveform_nan")
    np.testing.assert_array_equal(model.scores(CLIP), [0, 0, 0])


@pytest.mark.parametrize(
    ("name", "tolerance"), [("features_time_major", 0.008), ("features_mel_major", 1e-5), ("features_flat", 1e-5)]
)
def test_feature_models_of_every_layout(tmp_path, name, tolerance):
    sound = np.random.default_rng(0).uniform(-1, 1, 800).astype(np.float32)
    values = features(sound, MELS)
    model = loaded(tmp_path, name)
    np.testing.assert_allclose(model.scores(values), (values * 0.01 + 1).mean(axis=0), rtol=0, atol=tolerance)


def test_an_open_batch_takes_one_clip():
    values = features(np.random.default_rng(0).uniform(-1, 1, 800).astype(np.float32), MELS)
    for name, like in (("open_batch", "time_major"), ("flat_open_batch", "flat")):
        model = build_model(manifest_of(f"features_{like}"), Path("m"), content_of(f"features_{name}"))
        np.testing.assert_allclose(model.scores(values), (values * 0.01 + 1).mean(axis=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "tolerance"), [("autoencoder", 1e-6), ("autoencoder_int8", 1e-3)])
def test_an_autoencoder_scores_by_its_error(name, tolerance):
    """The model returns half of its input, so that the error is a quarter of the input's mean square."""
    output = OutputSection(kind="reconstruction_error", half_error=0.05)
    section = InputSection("log_mel", ("batch", "time", "feature"), scale=0.5)
    manifest = manifest_of("features_time_major", labels=("odd",), output=output, input=section)
    model = build_model(manifest, Path("m"), content_of(name))
    values = np.random.default_rng(1).uniform(-1, 1, (24, 3)).astype(np.float32)
    error = np.mean((0.25 * values) ** 2)
    np.testing.assert_allclose(model.outputs(values), [[error]], atol=tolerance)
    np.testing.assert_allclose(model.scores(values), [error / (error + 0.05)], atol=10 * tolerance)
    assert model.scores(values * 0) < 0.01
    assert name == "autoencoder_int8" or model.scores(values * np.nan) == 0


def test_a_model_that_does_not_reconstruct_its_input_is_no_autoencoder():
    output = OutputSection(kind="reconstruction_error", half_error=1.0)
    manifest = manifest_of("waveform", labels=("odd",), output=output)
    with pytest.raises(ModelError, match=r"^m: is given 120 values and gives 3: it does not reconstruct its input$"):
        build_model(manifest, Path("m"), content_of("waveform"))


def test_a_group_has_the_score_of_its_highest_member(tmp_path):
    model = loaded(tmp_path, "waveform", groups={"any": LABELS, "ends": ("first", "third")})
    np.testing.assert_allclose(model.scores(CLIP), [*THIRDS, 0.9, 0.5], atol=1e-6)
    assert model.manifest.reported == (*LABELS, "any", "ends")


def test_the_user_can_name_a_model_and_add_groups(tmp_path):
    directory = model_directory(tmp_path, groups={"any": LABELS})
    model = loaded_model(directory, name="mine", groups={"ends": ("first", "third")})
    assert (model.manifest.name, tuple(model.manifest.groups)) == ("mine", ("any", "ends"))
    np.testing.assert_allclose(model.scores(CLIP), [*THIRDS, 0.9, 0.5], atol=1e-6)
    with pytest.raises(ManifestError, match=r"model.toml: groups.x: 'none' is not one of the labels$"):
        load_model(directory, groups={"x": ("none",)})


@pytest.mark.parametrize(
    ("old_is_there", "numpy_version", "expected"),
    [
        (False, "2.3.0", "ai-edge-litert"),
        (False, "1.26.4", "ai-edge-litert"),
        (True, "1.26.4", "tflite-runtime"),
        (True, "2.0.0", "ai-edge-litert"),
    ],
)
def test_which_runtime_is_taken(monkeypatch, old_is_there, numpy_version, expected):
    specification = importlib.util.find_spec(interpreter_module.__name__)
    assert specification is not None
    assert specification.loader is not None
    for package in ("ai_edge_litert", "tflite_runtime"):
        stub = types.ModuleType(f"{package}.interpreter")
        stub.Interpreter = package  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", stub)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: old_is_there and name == "tflite_runtime")
    monkeypatch.setattr(np, "__version__", numpy_version)
    again = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(again)
    assert (again.RUNTIME, again.Interpreter) == (expected, expected.replace("-", "_"))


def test_threads_may_share_a_model(tmp_path):
    model = loaded_model(model_directory(tmp_path))
    clips = [np.full(120, value, dtype=np.float32) for value in (0.1, 0.4, 0.7, 0.9)]
    begin = threading.Barrier(len(clips))

    def hear(clip):
        begin.wait()
        return [model.scores(clip) for _ in range(200)]

    with ThreadPoolExecutor(len(clips)) as pool:
        heard = list(pool.map(hear, clips))
    for clip, scores in zip(clips, heard, strict=True):
        np.testing.assert_allclose(np.concatenate(scores), clip[0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        (
            "waveform",
            {"clip": replace(WAVEFORM, n_samples=121)},
            "its input tensor is [1, 120], and model.toml makes [1, 121] (batch, time; waveform, 121 samples)",
        ),
        (
            "waveform",
            {"input": InputSection("waveform", ("time",))},
            "its input tensor is [1, 120], and model.toml makes [120] (time; waveform, 120 samples)",
        ),
        (
            "features_time_major",
            {"features": replace(MELS, n_mels=4)},
            (
                "its input tensor is [1, 24, 3, 1], and model.toml makes [1, 24, 4, 1] "
                "(batch, time, feature, channel; log_mel, 800 samples)"
            ),
        ),
        (
            "features_flat",
            {"clip": replace(SPECTRUM, n_samples=832)},
            "its input tensor is [1, 72], and model.toml makes [1, 25, 3] (batch, time, feature; log_mel, 832 samples)",
        ),
        ("waveform", {"labels": ("a", "b")}, "gives 3 scores, and model.toml names 2 labels"),
        ("refused_scalar_output", {}, "gives 0 scores, and model.toml names 3 labels"),
        (
            "waveform",
            {"input": InputSection("waveform", index=1)},
            "has 1 inputs, and input.index in model.toml is 1",
        ),
        (
            "waveform",
            {"input": InputSection("waveform", index=-1)},
            "has 1 inputs, and input.index in model.toml is -1",
        ),
        ("waveform", {"output": OutputSection(index=2)}, "has 1 outputs, and output.index in model.toml is 2"),
        (
            "refused_int64_output",
            {"labels": ("a",)},
            "its output tensor is int64; float32, int8, uint8 and int16 are possible",
        ),
        ("refused_int32_input", {}, "its input tensor is int32; float32, int8, uint8 and int16 are possible"),
    ],
)
def test_contradictions_name_both_sides(tmp_path, name, changes, problem):
    directory = model_directory(tmp_path, name, **changes)
    with pytest.raises(ModelError) as caught:
        load_model(directory)
    assert str(caught.value) == f"{directory / 'model.tflite'}: {problem}"
    assert caught.value.problem == problem


def test_a_length_that_the_model_cannot_take_is_refused(tmp_path):
    clip = replace(WAVEFORM, n_samples=240)
    directory = model_directory(tmp_path, "refused_length", clip=clip, input=InputSection("waveform", ("time",)))
    with pytest.raises(ModelError) as caught:
        load_model(directory)
    assert str(caught.value).startswith(f"{directory / 'model.tflite'}: {RUNTIME} cannot run it: ")
    assert "\n" not in str(caught.value)


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path):
    directory = model_directory(tmp_path, "refused_custom_operator")
    with pytest.raises(ModelError) as caught:
        load_model(directory)
    assert f"{RUNTIME} cannot run it: needs Betainc, an operator that is not TFLite's own: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_directory_is_refused(tmp_path):
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / "none")
    problem = "is not a model directory; it must hold model.toml, and model.tflite unless it is fused"
    assert str(caught.value) == f"{tmp_path / 'none'}: {problem}"


def test_an_unreadable_directory_is_refused(tmp_path):
    # as in an unreadable directory, which does not exist for root
    with pytest.raises(ModelError, match=r"xxx: cannot be read: File name too long$"):
        load_model(find_model(tmp_path / ("x" * 300)))
    with pytest.raises(EdgeaudioError, match="is neither a directory nor one of the models here"):
        find_model("x" * 300)


def test_a_directory_without_a_manifest_is_refused(tmp_path):
    directory = model_directory(tmp_path)
    (directory / "model.toml").unlink()
    with pytest.raises(ManifestError) as caught:
        load_model(directory)
    assert str(caught.value) == f"{directory / 'model.toml'}: cannot be read: No such file or directory"


def test_a_directory_without_a_model_is_refused(tmp_path):
    directory = model_directory(tmp_path)
    (directory / "model.tflite").unlink()
    with pytest.raises(ModelError) as caught:
        load_model(directory)
    assert str(caught.value) == f"{directory / 'model.tflite'}: cannot be read: No such file or directory"


def test_too_large(tmp_path, monkeypatch):
    directory = model_directory(tmp_path)
    monkeypatch.setattr(model_module, "MAX_MODEL_BYTES", 1000)
    with pytest.raises(ModelError, match=r"model.tflite: is larger than 0 MB$"):
        load_model(directory)


def test_a_file_with_another_hash_is_refused(tmp_path):
    directory = model_directory(tmp_path)
    (directory / "model.tflite").write_bytes(content_of("waveform_int8"))
    theirs, ours = manifest_of("waveform_int8").sha256, manifest_of("waveform").sha256
    with pytest.raises(ModelError) as caught:
        load_model(directory)
    assert caught.value.problem == f"its SHA-256 is {theirs}, and model.toml says {ours}"


@pytest.mark.parametrize("content", [b"", b"TFL3", b"PK\x03\x04" * 10, b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_not_a_tflite_file(content):
    with pytest.raises(ModelError) as caught:
        open_interpreter(Path("m.tflite"), content)
    assert str(caught.value) == "m.tflite: is not a TFLite model (its identifier is not TFL3)"


def test_a_file_cut_off_in_the_middle(tmp_path):
    directory = model_directory(tmp_path)
    content = content_of("waveform")
    for length in range(8, len(content), 50):
        (directory / "model.tflite").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"model.tflite: its SHA-256 is [0-9a-f]{64}, and model.toml says "):
            load_model(directory)


@pytest.mark.skipif(RUNTIME == "tflite-runtime", reason="tflite-runtime 2.14 does not verify files, and crashes")
def test_a_file_cut_off_in_the_middle_without_its_hash():
    content = content_of("waveform")
    for length in range(8, len(content), 50):
        with pytest.raises(ModelError, match=rf"^m.tflite: {RUNTIME} cannot (load|run) it: [^\n]+$"):
            build_model(manifest_of("waveform"), Path("m.tflite"), content[:length])


def test_a_model_with_a_damaged_name_is_refused():
    content = content_of("waveform").replace(b"Identity", b"Ident\xffty")
    with pytest.raises(ModelError, match=rf"^m.tflite: {RUNTIME} cannot load it: 'utf-8' codec can't decode byte"):
        open_interpreter(Path("m.tflite"), content)
