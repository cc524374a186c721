"""`evaluate_ears` from a training and a little sound to its tables: what it makes is there already, but for alarms."""

import json

import numpy as np
import pytest
from support.espeak import espeak
from support.tflite import WAVEFORM, model_directory

from models.home.train import evaluate_ears, house_backgrounds, house_events
from models.home.train.donateacry import FOLDER, JUDGED
from models.home.train.house_sources import PACKAGES
from tools.training import kind_trials
from tools.training.recordings import write_wav

__all__ = ["espeak"]  # a fixture

RATE = 1_200
SEED = 7
KINDS = ("fans", "wind")
# of the three outputs of the test model; the groups are labels that a sound is made of, too
LABELS, GROUPS = ("siren", "smoke_alarm", "speech"), {"baby_cry": ("speech",), "co_alarm": ("smoke_alarm",)}


def write_tone(file, length_s, pitch_hz):
    file.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(length_s * RATE)) / RATE)
    write_wav(file, tone.astype(np.float32), RATE)


@pytest.fixture
def arguments(espeak, tmp_path, monkeypatch):
    """Two folds, two kinds of background, two sounds of each label, and Debian's packages without a file."""
    monkeypatch.setattr(house_backgrounds, "KINDS", KINDS)
    monkeypatch.setattr(house_events, "MADE", 2)
    monkeypatch.setattr(house_events, "ALARM_S", 1.0)
    monkeypatch.setattr(evaluate_ears, "SCENE_S", 12.0)
    for number, kind in enumerate(KINDS):
        write_tone(tmp_path / "work" / "backgrounds" / kind / "000.wav", 15.0, 200 + 100 * number)
        write_tone(tmp_path / "work" / "events" / "speech" / f"{number:02}.wav", 1.0, 120)
    for number, name in enumerate(JUDGED):
        write_tone(tmp_path / "data" / FOLDER / name, 1.0, 150 + number)
    for name in ("a", "b"):
        write_tone(tmp_path / "data" / "microphones" / f"{name}.wav", 0.1, 100)
    for package in PACKAGES:
        (tmp_path / "cache" / package).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    for fold in (1, 2):
        model_directory(tmp_path / "run", name=f"fold-{fold}", labels=LABELS, groups=GROUPS, clip=WAVEFORM)
    places = {name: tmp_path / name for name in ("data", "cache", "work")}
    options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
    return [str(tmp_path / "run"), *options, "--unseen", "--minutes", "1", "--json", str(tmp_path / "ears.json")]


def test_from_a_training_and_sound_to_tables_and_figures(arguments, tmp_path, capsys, monkeypatch):
    assert evaluate_ears.main([*arguments, "--seed", str(SEED)]) == 0
    text = capsys.readouterr().out
    for words in ("home, manifest", "home, all kinds", *LABELS, *GROUPS, *KINDS):
        assert words in text, words
    written = json.loads((tmp_path / "ears.json").read_text())
    assert (written["seed"], set(written["models"])) == (SEED, {"home"})
    judged = written["models"]["home"]["manifest"]
    assert set(judged["kinds"]) == set(KINDS)
    assert {label: each["10"]["scenes"] for label, each in judged["labels"].items()} == {
        **dict.fromkeys((*LABELS, "co_alarm"), 2), "baby_cry": sum(index % 4 < 2 for index in range(len(JUDGED))),
    }  # fmt: skip
    monkeypatch.setattr(kind_trials, "listen", None)
    assert evaluate_ears.main([*arguments, "--seed", str(SEED)]) == 0, "scores are kept"
    assert capsys.readouterr().out == text
    assert evaluate_ears.main([*arguments, "--seed", "8"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("evaluate_ears: ")
    assert "was made as" in error
