"""The recipe of models/home refuses what it cannot work with, before it works for an hour."""

import argparse
import sys
from pathlib import Path

from support.tflite import model_directory

from models.home.train import train_home


def test_a_missing_collection_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tools.synth.espeak.PROGRAM", sys.executable)  # it comes to no speech
    (tmp_path / "data").mkdir()
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert train_home.main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("train_home: ")
    assert "esc10" in error
    assert not (tmp_path / "out").exists()


def test_the_card_names_the_whole_command_and_the_teacher(tmp_path):
    teacher = model_directory(tmp_path, name="tutor", license="Apache-2.0")
    options = argparse.Namespace(data=Path("data"), clips=5, seed=2, teacher=None, backgrounds=None)
    plain = train_home.card_text(options, "80 log-mel bands", "| fold |")
    assert "--data data --out models/home --clips 5 --seed 2\n" in plain
    assert "tutor" not in plain
    options = argparse.Namespace(**{**vars(options), "teacher": teacher, "backgrounds": Path("bg")})
    taught = train_home.card_text(options, "80 log-mel bands", "| fold |")
    assert f"--seed 2 --teacher {teacher} --backgrounds bg\n" in taught
    assert "tutor 1\n(Apache-2.0)" in taught
