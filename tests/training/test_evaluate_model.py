"""Anybody's model is evaluated: one directory, or the folds of a training, each with its own recordings."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.tflite import WAVEFORM, model_directory

from edgeaudio.recognise.manifest import FILE_NAME, Threshold
from edgeaudio.recognise.manifest_file import read_manifest
from tools import evaluate_model
from tools.synth.acoustics import rms
from tools.synth.event_scenes import RecordedSounds
from tools.training.event_trials import Stretch, listen
from tools.training.recordings import write_wav
from tools.training.runs import named

RATE = 1_200
LABELS = ("dog", "rain", "piano")


def a_tone(length_s, pitch_hz):
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(length_s * RATE)) / RATE)).astype(np.float32)


def a_model(parent, name, **changes):
    clip = replace(WAVEFORM, n_samples=120, period_ms=500)
    return model_directory(parent, **{"name": name, "labels": LABELS, "clip": clip, **changes})


@pytest.fixture
def recordings(tmp_path):
    """Two labels, two folds; a silent recording that is left out."""
    folder = tmp_path / "recordings"
    for label, pitch_hz in (("dog", 150), ("rain", 90)):
        (folder / label).mkdir(parents=True)
        for fold in (1, 2):
            write_wav(folder / label / f"{fold}-7-A.wav", a_tone(1.0, pitch_hz), RATE)
    write_wav(folder / "dog" / "1-8-A.wav", np.zeros(RATE, dtype=np.float32), RATE)
    return folder


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for fold in (1, 2):
        a_model(folder, f"fold-{fold}")
    return folder


def test_scenes_say_what_is_in_them():
    sounds = RecordedSounds(1, RATE, {"dog": [a_tone(1.0, 150)], "rain": [a_tone(1.0, 90)]}, [a_tone(1.0, 70)])
    stretches = list(sounds.stretches((20, 10), 20.0, 1))
    scenes = [(stretch, stretch.target) for stretch in stretches if stretch.target]
    assert [(target.label, target.snr_db) for _, target in scenes] == [
        ("dog", 20), ("dog", 10), ("rain", 20), ("rain", 10),
    ]  # fmt: skip
    for scene, target in scenes:
        assert target.label in scene.present
        assert target.end_s - target.onset_s == pytest.approx(1.0, abs=0.1)
        onset = round(target.onset_s * RATE)
        assert rms(scene.samples[onset : onset + RATE]) > 1.5 * rms(scene.samples[:onset])
    assert [stretch.present for stretch in stretches if not stretch.target] == [{"dog"}, {"rain"}, set()]
    again = list(sounds.stretches((20, 10), 20.0, 1))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(stretches, again, strict=True))


def test_a_group_is_in_the_sound_when_one_of_its_labels_is(tmp_path):
    class Silent:
        manifest = read_manifest(a_model(tmp_path, "grouped", groups={"animal": ("dog",)}) / FILE_NAME)

        def scores(self, values):
            return np.zeros(4, dtype=np.float32)

    assert listen(Silent(), Stretch("x", a_tone(1.0, 90), frozenset({"dog"})), 1, RATE).present == {"dog", "animal"}
    assert listen(Silent(), Stretch("x", a_tone(1.0, 90), frozenset({"rain"})), 1, RATE).present == {"rain"}
    assert listen(Silent(), Stretch("x", a_tone(1.0, 90), frozenset({"animal"})), 1, RATE).present == {"dog", "animal"}


def test_recordings_of_a_group_are_tried_and_those_of_no_label_are_named(tmp_path, recordings, capsys):
    model = a_model(tmp_path, "grouped", labels=("bark", "drizzle", "piano"), groups={"dog": ("bark",)})
    assert evaluate_model.main([str(model), "--recordings", str(recordings), "--snr", "20"]) == 0
    text = capsys.readouterr().out
    assert "| dog | 20 dB | 2 |" in text
    assert "Not labels of the model, and so sound in which every event is a false alarm: rain." in text


@pytest.mark.parametrize("option", ["--seed=-1", "--budget=0", "--budget=nan", "--snr=1000"])
def test_numbers_that_give_no_figures_are_refused(run, recordings, capsys, option):
    with pytest.raises(SystemExit, match="2"):
        evaluate_model.main([str(run), "--recordings", str(recordings), option])
    assert f"argument {option.partition('=')[0]}: " in capsys.readouterr().err


def test_a_model_directory_is_judged_at_its_own_thresholds(tmp_path, recordings, capsys):
    model = a_model(tmp_path, "mine", thresholds={"piano": Threshold(0.8, 0.2)})
    card = model / "README.md"
    card.write_text("# mine\n")
    files = sorted(recordings.rglob("*.wav"))
    rows = [f"{file},{file.parent.name},1,yes" for file in files] + [f"{files[0]},dog,1,no"]  # which is not judged
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["file,label,fold,judged", *rows]) + "\n")
    arguments = [str(model), "--recordings", str(listed), "--snr", "20", "5", "--write", str(model)]
    assert evaluate_model.main([*arguments, "--card", str(card)]) == 0
    text = capsys.readouterr().out.strip()
    assert text in card.read_text()
    assert "Evaluated is mine, at the thresholds of its manifest." in text
    assert "Not tried, for want of recordings: piano." in text
    assert "| dog | 20 dB | 2 |" in text, "the silent one is left out"
    thresholds = read_manifest(model / FILE_NAME).thresholds
    assert thresholds["piano"] == Threshold(0.8, 0.2), "it was not tried"
    for label in ("dog", "rain"):
        assert f"| {label} | {thresholds[label].on:g} | {thresholds[label].off:g} |" in text


def test_each_fold_is_judged_with_its_own_recordings(run, recordings, capsys, monkeypatch):
    heard = []

    def spy(scorer, stretch, fold, sample_rate):
        heard.append((fold, scorer.manifest.name, stretch.target))
        return listen(scorer, stretch, fold, sample_rate)

    monkeypatch.setattr(evaluate_model, "listen", spy)
    assert evaluate_model.main([str(run), "--recordings", str(recordings)]) == 0
    text = capsys.readouterr().out
    assert "Evaluated are the 2 models of the cross-validation" in text
    assert "What other budgets would give" in text
    assert {(fold, name) for fold, name, _ in heard} == {(1, "fold-1"), (2, "fold-2")}
    assert sum(target is not None for _, _, target in heard) == 2 * 2 * 3  # folds, labels, SNRs


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("no recordings", "none: no recordings there"),
        ("no model", "none: no such directory or model; there are alarms, "),
        ("no folds", "empty: no model directories fold-1, fold-2, ... there"),
        ("other labels", "holds no recording of x, y, z"),
        ("other folds", "has no model of the recordings' folds"),
        ("other seed", "trained with seed = 2, not 1; give the same"),
        ("no card", "none.md: no such file"),
        ("no place", "none: is not a model directory; give one to --write"),
    ],
)
def test_refusals(tmp_path, run, recordings, capsys, wrong, words):
    arguments = [str(run), "--recordings", str(recordings)]
    none = str(tmp_path / "none")
    if wrong == "no recordings":
        arguments[2] = none
    elif wrong == "no model":
        arguments[0] = none
    elif wrong == "no folds":
        arguments[0] = str(tmp_path / "empty")
        (tmp_path / "empty").mkdir()
    elif wrong == "other labels":
        arguments[0] = str(a_model(tmp_path, "other", labels=("x", "y", "z")))
    elif wrong == "other folds":
        for fold in (1, 2):
            (run / f"fold-{fold}").rename(run / f"fold-{fold + 5}")
    elif wrong == "other seed":
        (run / "options.json").write_text(json.dumps({"seed": "2", **named(recordings, [])}))
    elif wrong == "no card":
        arguments += ["--card", none + ".md"]
    elif wrong == "no place":
        arguments += ["--write", none]
    assert evaluate_model.main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("evaluate_model: ")
    assert words in error
