"""A short training on words, from recordings of two speakers to fold models, a report and a draft."""

import json
import os

import numpy as np
import pytest
from support.espeak import espeak
from support.tflite import loaded_model

from edgeaudio.recognise.manifest import Threshold
from tools import train_model
from tools.synth import spoken_strings
from tools.training.draft import read_draft
from tools.training.recordings import write_wav

__all__ = ["espeak"]  # a fixture
RATE = 8000
ARGUMENTS = ["--keywords", "--sample-rate", str(RATE), "--n-mels", "16", "--n-mfcc", "10", "--clips", "256"]


@pytest.fixture
def words(tmp_path):
    """Two speakers say "do" (rising) and "ti" (falling)."""
    rng = np.random.default_rng(2)
    time_s = np.arange(RATE // 3) / RATE
    for label, slope_hz in (("do", 1500), ("ti", -1500)):
        (tmp_path / "in" / label).mkdir(parents=True)
        for speaker, base_hz in (("ann", 1800), ("bob", 1400)):
            for take in range(3):
                phase = 2 * np.pi * (base_hz * time_s + slope_hz * (time_s**2 / 2 - time_s / 6) * 3)
                sound = 0.3 * np.sin(phase) * np.hanning(len(time_s)) + 0.001 * rng.standard_normal(len(time_s))
                write_wav(tmp_path / "in" / label / f"{speaker}_{take}.wav", sound.astype(np.float32), RATE)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("extra", "words_of_error"),
    [
        (["--voices", "-1"], "--voices -1: must not be negative"),
        (["--budget", "0"], "--budget 0.0: must be a number above 0"),
        (["--voices", "999", "--language", "de"], "--voices 999: there are only 22 of de"),
        (["--fold", "3"], "--fold 3: there are only 1, 2"),
        (["--unknown", "nowhere"], "nowhere: no recordings there"),
        (["--clip-s", "1000"], "clip.n_samples: 8000000 is not from 1 sample to 120 s"),
        (["--clip-s", "0.05"], "--clip-s 0.05: a clip must hold a frame, which is 64 ms"),
    ],
)
def test_refusals(espeak, words, tmp_path, capsys, extra, words_of_error):
    assert train_model.main([str(words), "--out", str(tmp_path / "out"), *ARGUMENTS, *extra]) == 2
    assert words_of_error in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_refused_language_leaves_the_folder_free(words, tmp_path, monkeypatch, capsys):
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\necho Error: The specified espeak-ng voice does not exist. >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("tools.synth.espeak.PROGRAM", str(program))
    out = tmp_path / "out"
    assert train_model.main([str(words), "--out", str(out), *ARGUMENTS, "--voices", "1", "--language", "xx"]) == 2
    assert "espeak-ng does not read voice xx: Error: The specified" in capsys.readouterr().err
    assert not out.exists()


def test_an_out_that_is_a_file_is_refused(words, tmp_path, capsys):
    pytest.importorskip("keras", reason="Keras is not installed: the extra `train` brings it")
    (tmp_path / "out").touch()
    assert train_model.main([str(words), "--out", str(tmp_path / "out"), *ARGUMENTS]) == 2
    assert "out: cannot be written: File exists; give another --out" in capsys.readouterr().err


def test_a_word_of_one_speaker_is_refused(words, tmp_path, capsys):
    pytest.importorskip("keras", reason="Keras is not installed: the extra `train` brings it")
    for take in range(3):
        (words / "ti" / f"bob_{take}.wav").unlink()
    assert train_model.main([str(words), "--out", str(tmp_path / "out"), *ARGUMENTS]) == 2
    problem = capsys.readouterr().err.strip().splitlines()[-1]
    assert "'ti': nobody says it besides ann, whose voice fold 1 is judged by" in problem


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("go/ann_0.wav", "begun with labels = do, ti, unknown, silence, not do, go, ti, unknown, silence"),
        ("do/ann_9.wav", "begun with n_recordings = 12, not 13"),
    ],
)
def test_other_recordings_in_the_same_folder_are_no_resumption(words, tmp_path, monkeypatch, capsys, added, problem):
    pytest.importorskip("keras", reason="Keras is not installed: the extra `train` brings it")
    monkeypatch.setattr(train_model, "judged_folds", lambda *_: None)
    arguments = [str(words), "--out", str(tmp_path / "out"), *ARGUMENTS, "--no-final"]
    assert train_model.main(arguments) == 0
    assert train_model.main(arguments) == 0
    (words / added).parent.mkdir(exist_ok=True)
    (words / added).write_bytes((words / "do" / "ann_0.wav").read_bytes())
    assert train_model.main(arguments) == 2
    assert problem in capsys.readouterr().err


def test_what_goes_with_keywords_is_refused_without(words, tmp_path, capsys):
    assert train_model.main([str(words), "--out", str(tmp_path / "out"), "--voices", "3"]) == 2
    assert "--voices goes with --keywords" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(240)  # TensorFlow traces three networks
@pytest.mark.slow
def test_from_words_to_a_draft(espeak, words, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr("tools.training.training_run.EPOCH_STEPS", 4)
    monkeypatch.setattr("tools.synth.keyword_speech.NOISE_S", 60.0)
    monkeypatch.setattr("tools.synth.keyword_speech.CONDITIONS", spoken_strings.CONDITIONS[1:2])
    monkeypatch.setattr("tools.synth.keyword_speech.OTHER_WORDS", 2)
    monkeypatch.setattr("tools.synth.keyword_speech.JUDGING_SENTENCES", ("good day",))
    out = tmp_path / "My_words"
    arguments = [str(words), "--out", str(out), *ARGUMENTS, "--voices", "1", "--fold", "1"]
    assert train_model.main(arguments) == 0
    report = (out / "report.md").read_text()
    assert "| 1 | ann |" in report
    assert "| 20 dB | 6 |" in report
    assert "| synthetic speech, no keyword |" in report
    assert all((out / f"{name}.png").stat().st_size > 1000 for name in ("confusion", "recall", "curves"))
    result = json.loads((out / "fold-1" / "result.json").read_text())
    assert result["bytes"] < 60_000
    model = loaded_model(out / "fold-1")
    manifest = model.manifest
    assert manifest.labels == ("do", "ti", "unknown", "silence")
    assert (manifest.input.kind, manifest.clip.n_samples, manifest.clip.period_ms) == ("mfcc", RATE, 100)
    assert manifest.detector.refractory_s > 0
    assert manifest.threshold("unknown").is_never
    assert manifest.threshold("silence").is_never
    assert manifest.threshold("do") == manifest.threshold("ti") != Threshold(1.0, 1.0)
    assert manifest.announce == ("do", "ti")
    assert manifest.features is not None
    silence = np.zeros((int(manifest.features.n_frames(RATE)), 10), dtype=np.float32)
    assert model.scores(silence).sum() == pytest.approx(1, abs=0.02)
    draft = read_draft(out / "draft.toml")
    assert draft.name == "my-words"
    assert draft.threshold("unknown").is_never

    (out / "report.md").unlink()
    monkeypatch.setattr("tools.training.training_run.Batches", None)
    monkeypatch.setattr("tools.training.keyword_folds.judge", lambda *_: pytest.fail("it must not be judged again"))
    assert train_model.main(arguments) == 0, "run again, it has nothing left to train"
    assert (out / "report.md").read_text() == report
