"""The trainer's refusals, and one short training from recordings to a draft that the converter takes."""

import json
import os
import time

import numpy as np
import pytest
from support.sounds import write_tones
from support.tflite import loaded_model, model_directory

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import ClipSection
from tools import train_model
from tools.training import training_run
from tools.training.augmentation import Batches
from tools.training.draft import read_draft
from tools.training.recordings import write_wav

RATE = 16_000
ARGUMENTS = ["--sample-rate", str(RATE), "--clip-s", "1", "--n-mels", "16", "--clips", "2048"]


@pytest.fixture
def recordings(tmp_path):
    """High and low tones, two folds of three each."""
    write_tones(tmp_path / "in", RATE, np.random.default_rng(2), "{fold}-{index}-A.wav")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--fold", "7"], "--fold 7: there are only 1, 2"),
        (["--negatives", "nowhere"], "nowhere: no recordings there"),
        (["--fmin", "9000"], "fmin must be from 0 to below fmax"),
        (["--sample-rate", "0"], "--sample-rate 0: must be a number above 0"),
        (["--clips", "-5"], "--clips -5: must be a number above 0"),
        (["--learning-rate", "nan"], "--learning-rate nan: must be a number above 0"),
        (["--clip-s", "inf"], "--clip-s inf: must be a number above 0"),
        (["--teacher", "nowhere"], "nowhere"),
        (["--clip-s", "0.05"], "--clip-s 0.05: a clip must hold a frame, which is 64 ms"),
    ],
)
def test_refusals(recordings, tmp_path, capsys, extra, words):
    assert train_model.main([str(recordings), "--out", str(tmp_path / "out"), *ARGUMENTS, *extra]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("train_model: ")
    assert words in error


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert train_model.main([str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "none: no recordings there" in capsys.readouterr().err


def test_without_keras_it_says_what_brings_it(recordings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tools.training.command.find_spec", lambda _: None)
    assert train_model.main([str(recordings), "--out", str(tmp_path / "out"), *ARGUMENTS]) == 2
    assert capsys.readouterr().err.strip() == (
        "train_model: Keras is not installed: the extra `train` brings it (pip install -e '.[train]')"
    )


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_from_recordings_to_a_draft(recordings, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    out = tmp_path / "My_sounds"
    arguments = [str(recordings), "--out", str(out), *ARGUMENTS, "--fold", "1"]
    assert train_model.main(arguments) == 0
    result = json.loads((out / "fold-1" / "result.json").read_text())
    assert sorted(result["truth"]) == [0, 0, 0, 1, 1, 1], "the recordings of the fold, and no other"
    assert len(result["history"]) == 1
    assert set(result["narrow"]) == {"8000"}, "what a camera of that rate leaves"
    report = (out / "report.md").read_text()
    assert "| int8 | int8 through 8 kHz |" in report
    assert "| mean | 6 |" in report
    assert (out / "confusion.png").stat().st_size > 1000
    assert (out / "curves.png").stat().st_size > 1000
    draft = read_draft(out / "draft.toml")
    assert draft.name == "my-sounds", "a manifest takes no other"
    assert draft.labels == ("high", "low")
    assert draft.features is not None
    assert len(draft.features.std) == 1

    began_s = time.monotonic()
    (out / "report.md").unlink()
    assert train_model.main(arguments) == 0, "run again, it has nothing left to train"
    assert (out / "report.md").exists()
    assert time.monotonic() - began_s < 20


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_a_teacher_is_learnt_from_and_left_out_of_the_model(recordings, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    seen = []
    make_batches = training_run._batches

    def spied(*how):
        for values, targets in make_batches(*how):
            seen.append(targets.shape)
            yield values, targets

    monkeypatch.setattr(training_run, "_batches", spied)
    teacher = model_directory(tmp_path, clip=ClipSection(RATE, 120))
    out = tmp_path / "out"
    arguments = [str(recordings), "--out", str(out), *ARGUMENTS, "--fold", "1", "--no-final"]
    assert train_model.main([*arguments, "--teacher", str(teacher)]) == 0
    assert set(seen) == {(training_run.BATCH, 2 * 2 + 3)}, "two labels, and the three of the teacher"
    model = loaded_model(out / "fold-1")
    assert model.manifest.labels == ("high", "low")
    assert len(model.outputs(np.zeros((47, 16), np.float32))[0]) == 2
    assert len(list(out.glob("lessons-*.npz"))) == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--teacher", "TEACHER"], "teacher = None, not "),
        (["--n-mels", "24"], "n_mels = 16, not 24"),
        (["--full-band"], "full_band = False, not True"),
        (["--negatives", "NEGATIVES"], "negatives = None, not /"),
    ],
)
def test_a_folder_that_was_begun_with_other_options_is_refused(
    recordings, tmp_path, capsys, option, words, monkeypatch
):
    monkeypatch.setattr("tools.training.command.find_spec", lambda _: True)  # nothing is trained
    monkeypatch.setattr(train_model, "_fold", lambda *_: pytest.fail("it must not go on"))
    write_tones(tmp_path / "NEGATIVES", RATE, np.random.default_rng(3), "{fold}-{index}-B.wav")
    out = tmp_path / "out"
    arguments = [str(recordings), "--out", str(out), *ARGUMENTS]
    with pytest.raises(pytest.fail.Exception):
        train_model.main(arguments)
    capsys.readouterr()
    model_directory(tmp_path, name="teacher").rename(tmp_path / "TEACHER")
    option = [str(tmp_path / word) if word in ("NEGATIVES", "TEACHER") else word for word in option]
    assert train_model.main([*arguments, *option]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"train_model: {out}: begun with {words}")
    assert error.endswith("; remove it, or give another --out")


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_what_a_camera_leaves_nothing_of_is_not_named_right(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    time_s = np.arange(RATE) / RATE
    for label, tone_hz in (("high", 7000), ("low", 5000)):
        (tmp_path / "in" / label).mkdir(parents=True)
        for fold in (1, 2):
            # an abrupt beginning would be a click, and have low tones
            tone = 0.3 * np.hanning(RATE) * np.sin(2 * np.pi * (tone_hz + 50 * fold) * time_s)
            write_wav(tmp_path / "in" / label / f"{fold}-0-A.wav", tone.astype(np.float32), RATE)
    recipes = []

    class Spy(Batches):
        def __init__(self, examples, n_frames, frame_s, recipe):
            recipes.append(recipe)
            super().__init__(examples, n_frames, frame_s, recipe)

    monkeypatch.setattr("tools.training.training_run.Batches", Spy)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "in"), "--out", str(out), *ARGUMENTS, "--fold", "1", "--no-final", "--full-band"]
    assert train_model.main(arguments) == 0
    assert [recipe.narrow for recipe in recipes] == [0.0], "no clip may lose the bands that all is told by"
    assert json.loads((out / "fold-1" / "result.json").read_text())["narrow"] == {"8000": 0.0}


def test_a_draft_that_is_wrong_is_refused(tmp_path):
    (tmp_path / "draft.toml").write_text('name = "x"\n')
    with pytest.raises(EdgeaudioError, match=r"draft\.toml: version: is missing"):
        read_draft(tmp_path / "draft.toml")
