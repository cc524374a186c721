"""`edgeaudio model inspect` and `verify`."""

from dataclasses import replace

import numpy as np
import pytest
from support.tflite import LABELS, WAVEFORM, content_of, model_directory, model_file

from edgeaudio.recognise.manifest import DetectorSection
from edgeaudio.recognise.model import Model


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_inspect_shows_everything(run, tmp_path):
    groups = {"any": LABELS}
    directory = model_directory(
        tmp_path, "features_time_major", groups=groups, description="Mels.", training_data=("x",)
    )
    status, out, err = run("inspect", directory)
    assert (status, err) == (0, [])
    text = "\n".join(out)
    for expected in (
        "name           test 1",
        "description    Mels.",
        "license        not stated",
        "training data  x",
        "clip           800 samples at 8000 Hz, one each 50 ms",
        "input          log_mel as (batch, time, feature, channel), times 0.01 plus 1",
        "features       24 frames of 3, window 8 ms, hop 4 ms",
        "               hop_length = 32",
        "labels         3: first, second, third",
        "group any      first, second, third",
        "input 0        x: int8 [1, 24, 3, 1], step 0.00784314, zero at -1",
        "output 0       Identity: int8 [1, 3], step 0.00784314, zero at -1",
    ):
        assert expected in out, text


def test_inspect_shows_a_refractory_time(run, tmp_path):
    directory = model_directory(tmp_path, "features_time_major", detector=DetectorSection(mean_of=2, refractory_s=0.4))
    _, out, _ = run("inspect", directory)
    assert "detector    mean of 2, 1 of 1 votes, then 0.4 s without another event of any label" in out


def test_inspect_a_waveform_model(run, tmp_path):
    status, out, _ = run("inspect", model_directory(tmp_path, labels=LABELS))
    assert status == 0
    assert "input       waveform as (batch, time), times 1 plus 0" in out
    assert not any(line.startswith("features") for line in out)


def test_inspect_a_file(run):
    status, out, err = run("inspect", model_file("waveform", **{"labels.txt": "a\nb\n"}))
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == ["file", "sha256", "input", "output", "packed"]
    assert out[-1] == "packed    labels.txt, 2 lines: a, b"


def test_verify_what_works(run, tmp_path):
    status, out, err = run("verify", model_directory(tmp_path, "features_time_major"))
    assert (status, err) == (0, [])
    assert [line.split()[:2] for line in out] == [
        [what, "works"] for what in ("hash", "tensors", "labels", "scores", "time")
    ]
    assert "ms a clip of 0.1 s (median of 20); a clip each 50 ms takes" in out[-1]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("waveform_nan", "some are not finite: the model is broken, or its input is not what it was trained with"),
        ("waveform_logits", 'which are no scores: set output.activation to "sigmoid" or "softmax"'),
    ],
)
def test_verify_scores_that_are_none(run, tmp_path, name, problem):
    status, out, _ = run("verify", model_directory(tmp_path, name))
    assert status == 2
    assert out[3].startswith("scores   FAILS  ")
    assert out[3].endswith(problem)


def test_verify_refuses_a_model_that_cannot_be_reset(run, tmp_path):
    directory = model_directory(tmp_path, "refused_written_variable")
    status, out, err = run("verify", directory)
    assert (status, out) == (2, [])
    assert len(err) == 1
    assert err[0].startswith(f"edgeaudio: {directory / 'model.tflite'}: writes to variables that keep their values")


def test_verify_scores_that_change_by_themselves(run, tmp_path, monkeypatch):
    rng, outputs = np.random.default_rng(0), Model.outputs
    monkeypatch.setattr(Model, "outputs", lambda model, values: outputs(model, values) * rng.uniform(0.5, 1.0))
    status, out, _ = run("verify", model_directory(tmp_path))
    assert status == 2
    told = "the same clip gives others each time: convert the model for inference, without dropout or noise"
    assert out[3] == f"scores   FAILS  {told}"


def test_verify_says_what_of_the_sound_is_not_heard(run, tmp_path):
    _, out, _ = run("verify", model_directory(tmp_path, clip=replace(WAVEFORM, period_ms=400)))
    assert out[-1].endswith(" and leaves 75% of the sound between clips unheard")


def test_verify_another_file_than_the_manifest_s(run, tmp_path):
    directory = model_directory(tmp_path)
    (directory / "model.tflite").write_bytes(content_of("waveform_int8"))
    status, out, err = run("verify", directory)
    assert (status, out) == (2, [])
    assert err[0].startswith(f"edgeaudio: {directory / 'model.tflite'}: its SHA-256 is ")
