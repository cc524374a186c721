"""Keras to a device, end to end on a tiny model; and every refusal in one clear line."""

import hashlib
import os
from importlib.util import find_spec

import numpy as np
import pytest
from support.sounds import write_tones
from support.tflite import loaded_model

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import ClipSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import load_model
from tools.training.recordings import write_wav

pytestmark = [
    # TensorFlow; tests/test_docs_models.py trains, converts and evaluates in every run
    pytest.mark.slow,
    # found, not imported: that takes seconds, on each worker that collects
    pytest.mark.skipif(
        find_spec("tensorflow") is None, reason="TensorFlow is not installed: the extra `train` brings it"
    ),
    # its imports warn about themselves
    pytest.mark.filterwarnings("default"),
]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RATE = 8_000
FEATURES = FeatureConfig(
    "log_mel", RATE, n_fft=256, hop_length=256, n_mels=8, log_floor=1e-6, mean=(-30.0,), std=(30.0,)
)
DRAFT = Manifest(
    name="tiny",
    version="1",
    labels=("high", "low"),
    sha256="0" * 64,
    clip=ClipSection(RATE, n_samples=RATE // 2, period_ms=250),
    input=InputSection("log_mel", ("batch", "time", "feature")),
    description="Told apart by pitch",
    features=FEATURES,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained-looking model, its draft, and recordings of high and low tones and of noise."""
    import keras  # noqa: PLC0415 - only where TensorFlow is

    keras.utils.set_random_seed(1)
    place = tmp_path_factory.mktemp("convert")
    inputs = keras.Input((FEATURES.n_frames(RATE // 2), FEATURES.n_mels))
    pooled = keras.layers.GlobalAveragePooling1D()(inputs)
    dense = keras.layers.Dense(2, activation="sigmoid")
    model = keras.Model(inputs, dense(pooled))
    slope = np.linspace(-3, 3, FEATURES.n_mels)
    dense.set_weights([np.stack([slope, -slope], axis=1).astype(np.float32), np.zeros(2, dtype=np.float32)])
    model.save(place / "model.keras")
    model.export(place / "saved", verbose=False)
    rng = np.random.default_rng(1)
    write_tones(place / "recordings", RATE, rng, "{index}.wav")
    (place / "recordings" / "noise").mkdir()
    for index in range(6):
        noise = rng.normal(0, 0.1, RATE).astype(np.float32)
        write_wav(place / "recordings" / "noise" / f"{index}.wav", noise, RATE)
    (place / "draft.toml").write_text(manifest_toml(DRAFT).replace(f'sha256 = "{"0" * 64}"\n', ""))
    return place


def convert(folder, out, *extra, model="model.keras", draft="draft.toml", recordings="recordings"):
    from tools import convert_model  # noqa: PLC0415 - it needs the extra

    files = ["--manifest", str(folder / draft), "--recordings", str(folder / recordings), "--out", str(out)]
    return convert_model.main([str(folder / model), *files, *extra])


@pytest.mark.parametrize("kind", ["int8", "dynamic", "float16", "float32"])
def test_every_kind_gives_a_model_directory_that_runs(folder, tmp_path, kind, capsys):
    assert convert(folder, tmp_path / "m", "--kind", kind) == 0
    content = (tmp_path / "m" / "model.tflite").read_bytes()
    model = load_model(tmp_path / "m")
    assert model.manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert set(model.manifest.thresholds) == {"high", "low"}
    card = (tmp_path / "m" / "README.md").read_text()
    assert "Told apart by pitch" in card
    assert "100.00% before, 100.00% after" in card
    assert "runs in ai-edge-litert" in capsys.readouterr().out


def test_a_saved_model_gives_the_same_bytes_of_meaning(folder, tmp_path):
    assert convert(folder, tmp_path / "a", "--kind", "float32") == 0
    assert convert(folder, tmp_path / "b", "--kind", "float32", model="saved") == 0
    values = np.random.default_rng(0).normal(size=(FEATURES.n_frames(RATE // 2), 8)).astype(np.float32)
    first, second = (loaded_model(tmp_path / name).scores(values) for name in "ab")
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_kept_thresholds_stay(folder, tmp_path):
    assert convert(folder, tmp_path / "m", "--keep-thresholds") == 0
    assert not load_model(tmp_path / "m").manifest.thresholds


@pytest.mark.parametrize(
    ("changes", "extra", "words"),
    [
        ({"model": "none.keras"}, [], "none.keras: no such model"),
        ({"model": "draft.toml"}, [], "draft.toml: Keras cannot read it"),
        ({"draft": "none.toml"}, [], "none.toml: cannot be read: No such file or directory"),
        ({"draft": "model.keras"}, [], "model.keras: is not TOML"),
        ({"recordings": "saved"}, [], "saved: no recordings there"),
        ({}, ["--card", "none.md"], "none.md: no such file"),
        ({}, ["--max-difference", "-1"], "more than -1; see the table above"),
        ({}, ["--runtime-python", "/nowhere/python"], "/nowhere/python: cannot be run"),
    ],
)
def test_refusals(folder, tmp_path, capsys, changes, extra, words):
    assert convert(folder, tmp_path / "m", *extra, **changes) == 2
    error = capsys.readouterr().err
    assert words in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "m").exists()


REFUSAL = "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'"


def a_runtime_that_refuses(folder, times):
    """A stand-in for another Python, whose runtime refuses the first models and accepts the next."""
    answers = folder / "answers"
    answers.mkdir()
    for index in range(4):
        problem = f'"{REFUSAL}"' if index < times else "null"
        (answers / f"{index}").write_text(f'{{"runtime": "tflite-runtime 2.14.0", "problem": {problem}}}')
    program = folder / "python"
    program.write_text(f'#!/bin/sh\ncd {answers} && for f in *; do cat "$f" && rm "$f" && exit; done\n')
    program.chmod(0o755)
    return program


def test_dense_layers_are_quantised_otherwise_for_a_runtime_that_refuses(folder, tmp_path, capsys):
    python = a_runtime_that_refuses(tmp_path, times=1)
    assert convert(folder, tmp_path / "m", "--runtime-python", str(python)) == 0
    assert "per tensor, since tflite-runtime 2.14.0 refuses them per channel" in capsys.readouterr().out
    load_model(tmp_path / "m")


def test_an_operator_that_stays_refused_is_named_and_nothing_is_written(folder, tmp_path, capsys):
    python = a_runtime_that_refuses(tmp_path, times=4)
    assert convert(folder, tmp_path / "m", "--runtime-python", str(python)) == 2
    assert f"tflite-runtime 2.14.0 cannot run the converted model: {REFUSAL}" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
