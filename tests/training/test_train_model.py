"""The trainer's refusals, and one short training from recordings to a draft that the converter takes."""

import json
import os
import time

import numpy as np
import pytest
from support.sounds import write_tones

from edgeaudio.recognise.types import EdgeaudioError
from tools import train_model
from tools.convert_model import read_draft

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


@pytest.mark.filterwarnings("default")
def test_from_recordings_to_a_draft(recordings, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    out = tmp_path / "out"
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
    assert draft.labels == ("high", "low")
    assert draft.features is not None
    assert len(draft.features.std) == 1

    began_s = time.monotonic()
    (out / "report.md").unlink()
    assert train_model.main(arguments) == 0, "run again, it has nothing left to train"
    assert (out / "report.md").exists()
    assert time.monotonic() - began_s < 20


def test_a_draft_that_is_wrong_is_refused(tmp_path):
    (tmp_path / "draft.toml").write_text('name = "x"\n')
    with pytest.raises(EdgeaudioError, match=r"draft\.toml: version: is missing"):
        read_draft(tmp_path / "draft.toml")
